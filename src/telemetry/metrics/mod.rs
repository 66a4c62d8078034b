//! What the service counts, and the text that Prometheus scrapes. The only room that names `prometheus`.
//!
//! Not here: the metrics themselves (`declared`), where they move (the parts that move them).

mod declared;
mod kinds;
mod process;

use prometheus::{Encoder, IntCounter, IntGauge, Registry, TextEncoder};

pub use self::declared::{DECLARATIONS, Metrics};
pub use self::kinds::{Declaration, Kind};
use super::traces;

/// A single labelled counter, resolved once and moved often.
pub type Counter = IntCounter;
/// A single gauge.
pub type LevelGauge = IntGauge;

/// A metric could not be declared: two of one name, or a malformed one.
#[derive(Debug, thiserror::Error)]
#[error("a metric cannot be registered")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Declares all metrics in a registry of their own.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let metrics = Self::declare(&registry)?;
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for result in traces::RESULTS {
            metrics.spans.with_label_values(&[result]);
        }
        process::collect(&registry)?;
        Ok(metrics)
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry().gather(), &mut text)?;
        Ok(text)
    }
}

/// Everything that `/metrics` may show, as the README's table: one line for each metric.
pub fn table() -> String {
    let mut lines = vec!["| metric | type | labels | unit | meaning |".to_owned()];
    lines.push("|---|---|---|---|---|".to_owned());
    lines.extend(DECLARATIONS.iter().chain(process::DECLARATIONS).map(Declaration::row));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_register_and_render() {
        let metrics = Metrics::new().unwrap();
        metrics.records.with_label_values(&["delivered"]).inc_by(3);
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("ldsink_records_total{outcome=\"delivered\"} 3"), "{text}");
        assert!(text.contains("ldsink_build_info{version="), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
        let help = "# HELP ldsink_in_flight_records Records taken and not yet settled.
";
        assert!(text.contains(help), "{text}");
    }

    #[test]
    fn names_tell_kind_and_unit() {
        for Declaration { name, kind, unit, .. } in DECLARATIONS {
            assert!(name.starts_with("ldsink_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let bare = name.trim_end_matches("_total");
            for word in ["seconds", "bytes"] {
                assert_eq!(bare.ends_with(word), *unit == word, "{name} in {unit}");
            }
        }
    }

    /// What the process collector shows on Linux is what the table says it shows.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_metrics_of_the_process_are_those_of_the_table() {
        let gathered = Metrics::new().unwrap().registry().gather();
        let shown = gathered.iter().map(|family| family.name().to_owned());
        let shown: Vec<String> = shown.filter(|name| name.starts_with("process_")).collect();
        let mut told: Vec<_> = process::DECLARATIONS.iter().map(|it| it.name).collect();
        told.sort_unstable();
        assert_eq!(shown, told);
    }
}
