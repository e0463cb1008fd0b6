//! Declaration of metrics: groups of fields whose doc comments are the help texts.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

/// The metadata of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its name in `GET /metrics`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Its help text.
    pub help: &'static str,
}

/// A type of metric.
pub(super) trait Kind: Collector + Clone + 'static {
    /// Its name in the Prometheus text format.
    const NAME: &'static str;

    /// Creates a metric with this name.
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

impl Kind for IntCounter {
    const NAME: &'static str = "counter";

    fn make(name: &str, help: &str, _labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Kind for IntGauge {
    const NAME: &'static str = "gauge";

    fn make(name: &str, help: &str, _labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Kind for IntCounterVec {
    const NAME: &'static str = "counter";

    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Kind for IntGaugeVec {
    const NAME: &'static str = "gauge";

    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

/// Buckets start at half a millisecond for seconds, and at 1 for everything else.
impl Kind for Histogram {
    const NAME: &'static str = "histogram";

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
            const DESCRIPTIONS: &[$crate::metrics::group::Description] = &[
                $($crate::metrics::group::Description {
                    name: $name,
                    kind: <$kind as $crate::metrics::group::Kind>::NAME,
                    labels: &[$($($label),+)?],
                    help: concat!($($help),+).trim_ascii_start(),
                },)+
            ];

            pub(in crate::metrics) fn register(registry: &prometheus::Registry) -> prometheus::Result<Self> {
                let mut descriptions = Self::DESCRIPTIONS.iter();
                $(
                    let made = descriptions.next().expect("one for each field");
                    let $field = <$kind as $crate::metrics::group::Kind>::make(
                        made.name, made.help, made.labels,
                    )?;
                    registry.register(Box::new($field.clone()))?;
                )+
                Ok(Self { $($field),+ })
            }
        }
    };
}

pub(super) use group;
