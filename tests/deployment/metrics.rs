//! The metrics that exist, with their kinds and labels.
//!
//! A vector without children renders nothing, so names and labels are read from the declarations;
//! what does render is compared with them, so that the reading cannot go wrong unnoticed.

use std::collections::{BTreeMap, BTreeSet};

use ldsink::telemetry::metrics::Metrics;

use crate::files::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) kind: Kind,
    pub(crate) labels: BTreeSet<String>,
}

/// The methods that declare, by what they declare.
const METHODS: [(&str, Kind); 8] = [
    ("counter", Kind::Counter),
    ("counters", Kind::Counter),
    ("gauge", Kind::Gauge),
    ("gauges", Kind::Gauge),
    ("float_counters", Kind::Counter),
    ("float_gauge", Kind::Gauge),
    ("float_gauges", Kind::Gauge),
    ("histograms", Kind::Histogram),
];

/// All metrics of ldsink, by their full names.
pub(crate) fn declared() -> BTreeMap<String, Declared> {
    let source = text("src/telemetry/metrics.rs");
    let (source, _) = source.split_once("#[cfg(test)]\nmod tests").expect("tests end the file");
    let mut metrics = BTreeMap::new();
    for (method, kind) in METHODS {
        // `.counters("name", "help", &["label"])?`, over as many lines as it takes.
        for call in source.split(&format!(".{method}(")).skip(1) {
            let arguments = call.split(")?").next().unwrap_or_default();
            let mut literals = arguments.split('"').skip(1).step_by(2).map(str::to_owned);
            let name = literals.next().expect("a metric is declared with its name");
            let help = literals.next().expect("a metric is declared with its help");
            assert!(help.ends_with('.'), "{name}: {help}");
            metrics.insert(format!("ldsink_{name}"), Declared { kind, labels: literals.collect() });
        }
    }
    metrics
}

/// What the process collector adds.
pub(crate) fn of_the_process() -> BTreeSet<String> {
    rendered().into_keys().filter(|name| name.starts_with("process_")).collect()
}

/// The metrics that show without having been moved, with their kinds.
fn rendered() -> BTreeMap<String, String> {
    let text = String::from_utf8(Metrics::new().unwrap().render().unwrap()).unwrap();
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_declarations_are_read_as_they_are_rendered() {
    let declared = declared();
    let rendered = rendered();
    let ours: Vec<_> = rendered.iter().filter(|(name, _)| name.starts_with("ldsink_")).collect();
    assert!(ours.len() > 5, "{ours:?}");
    for (name, kind) in ours {
        let found = declared.get(name).unwrap_or_else(|| panic!("{name} was not read"));
        assert_eq!(format!("{:?}", found.kind).to_lowercase(), *kind, "{name}");
    }
    // One of each that needs children to show.
    let latency = &declared["ldsink_delivery_latency_seconds"];
    assert_eq!(latency.kind, Kind::Histogram);
    assert_eq!(latency.labels, BTreeSet::from(["target".to_owned()]));
    let lag = &declared["ldsink_consumer_lag_records"];
    assert_eq!(lag.labels, BTreeSet::from(["topic".to_owned(), "partition".to_owned()]));
    assert!(declared["ldsink_drain_timeouts_total"].labels.is_empty());
}

#[test]
fn names_follow_the_rule() {
    for (name, metric) in declared() {
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
    }
}
