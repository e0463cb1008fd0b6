//! Declaration of metrics: groups of fields whose doc comments are the help texts.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

/// A type of metric.
pub(super) trait Kind: Collector + Clone + 'static {
    /// Creates a metric with this name.
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

impl Kind for IntCounter {
    fn make(name: &str, help: &str, _labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Kind for IntGauge {
    fn make(name: &str, help: &str, _labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Kind for IntCounterVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Kind for IntGaugeVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

/// Buckets start at half a millisecond for seconds, and at 1 for everything else.
impl Kind for Histogram {
    fn make(name: &str, help: &str, _labels: &[&str]) -> prometheus::Result<Self> {
        let buckets = if name.ends_with("_seconds") {
            prometheus::exponential_buckets(0.000_5, 2.0, 14)?
        } else {
            prometheus::exponential_buckets(1.0, 4.0, 7)?
        };
        Self::with_opts(HistogramOpts::new(name, help).buckets(buckets))
    }
}

/// Declares a struct of metrics: `/// help` and `field: Kind = "name" [labels];`.
macro_rules! group {
    ($(#[doc = $about:literal])+ $vis:vis struct $group:ident {
        $($(#[doc = $help:literal])+ $field:ident: $kind:ident = $name:literal $([$($label:literal),+])?;)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        $vis struct $group {
            $($(#[doc = $help])+ $vis $field: $kind,)+
        }

        impl $group {
            pub(in crate::metrics) fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
                $(
                    let help = concat!($($help),+).trim_ascii_start();
                    let labels: &[&str] = &[$($($label),+)?];
                    let $field = <$kind as $crate::metrics::group::Kind>::make($name, help, labels)?;
                    registry.register(Box::new($field.clone()))?;
                )+
                Ok(Self { $($field),+ })
            }
        }
    };
}

pub(super) use group;
