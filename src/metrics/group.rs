//! How metrics are declared: a group of fields whose doc comments are the help texts.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

/// A kind of metric.
pub(super) trait Kind: Collector + Clone + 'static {
    /// One of this name.
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

/// Seconds are counted from half a millisecond on, everything else from 1 on.
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
    ($(#[doc = $about:literal])+ pub struct $group:ident {
        $($(#[doc = $help:literal])+ $field:ident: $kind:ident = $name:literal $([$($label:literal),+])?;)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $group {
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        impl $group {
            fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
                $(
                    let help = concat!($($help),+).trim_start();
                    let $field = <$kind as $crate::metrics::group::Kind>::make(
                        $name, help, &[$($($label),+)?],
                    )?;
                    registry.register(Box::new($field.clone()))?;
                )+
                Ok(Self { $($field),+ })
            }
        }
    };
}

pub(super) use group;
