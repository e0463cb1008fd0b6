//! The model itself: hand-made deliveries, each wrong in one way that it must find.
