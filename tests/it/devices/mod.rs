//! Several devices of one user: where each begins, what is for one of them only, and which one
//! takes over from another. PROTOCOL sections 2 to 4.

mod addressed;
mod known;
mod replaced;
