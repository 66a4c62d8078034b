//! The kinds of metric, and how one is made of its declaration.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

use super::MetricsError;

/// What a reader has to know of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// As Prometheus knows it; a histogram's series add their endings to it.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// What is counted or measured; `state` where each value has a meaning of its own.
    pub unit: &'static str,
    pub help: &'static str,
    /// Upper bounds, of histograms only.
    pub buckets: &'static [f64],
}

/// Prometheus' kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A type of metric that can be made of a declaration.
pub(super) trait Declared: Collector + Clone + Sized + 'static {
    const KIND: Kind;

    fn made(told: &Declaration) -> Result<Self, prometheus::Error>;
}

/// Makes a metric and has it shown.
pub(super) fn register<M: Declared>(
    registry: &Registry,
    told: &Declaration,
) -> Result<M, MetricsError> {
    let metric = M::made(told)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

// === impl Declaration ===

impl Declaration {
    fn options(&self) -> Opts {
        Opts::new(self.name, self.help.trim_start())
    }

    fn histogram(&self) -> HistogramOpts {
        HistogramOpts::from(self.options()).buckets(self.buckets.to_vec())
    }

    /// Its line in a Markdown table.
    pub(super) fn row(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|label| format!("`{label}`")).collect();
        let Self { name, kind, unit, help, .. } = self;
        let (kind, help, labels) = (kind.as_str(), help.trim_start(), labels.join(", "));
        format!("| `{name}` | {kind} | {labels} | {unit} | {help} |")
    }
}

// === impl Kind ===

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

// === impl Declared ===

macro_rules! declared {
    ($type:ident, $kind:ident, |$told:ident| $made:expr) => {
        impl Declared for $type {
            const KIND: Kind = Kind::$kind;

            fn made($told: &Declaration) -> Result<Self, prometheus::Error> {
                $made
            }
        }
    };
}

declared!(IntCounter, Counter, |told| Self::with_opts(told.options()));
declared!(CounterVec, Counter, |told| Self::new(told.options(), told.labels));
declared!(IntCounterVec, Counter, |told| Self::new(told.options(), told.labels));
declared!(IntGauge, Gauge, |told| Self::with_opts(told.options()));
declared!(IntGaugeVec, Gauge, |told| Self::new(told.options(), told.labels));
declared!(Gauge, Gauge, |told| Self::with_opts(told.options()));
declared!(GaugeVec, Gauge, |told| Self::new(told.options(), told.labels));
declared!(Histogram, Histogram, |told| Self::with_opts(told.histogram()));
declared!(HistogramVec, Histogram, |told| Self::new(told.histogram(), told.labels));
