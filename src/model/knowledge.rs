//! What LaunchDarkly has, as far as it was read: the metrics of a project and segments of an
//! environment.
//!
//! # Invariants
//! - N1: what could not be read is unknown, and unknown is not absent.
//!
//! Not here: who reads it (`deliver`), what follows from it (`check`).

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

/// What is known of one target. Immutable; each reading makes another one.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    /// Counts what was published, failed readings included; 0 before the first one has ended.
    pub edition: u64,
    /// Until when it is new enough for a record to be refused on its strength; `None` when the last
    /// reading failed.
    pub certain_until: Option<Instant>,
    /// The metrics by the event key they listen to; `None` when they could not be read.
    pub metrics: Option<Arc<MetricsByEventKey>>,
    /// Segments that were looked for, by key; `None` stands for one that does not exist.
    pub segments: HashMap<String, Option<SegmentFacts>>,
}

/// What listens to an event key.
pub type MetricsByEventKey = HashMap<String, Vec<MetricFacts>>;

/// What decides whether a metric counts an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricFacts {
    pub key: String,
    pub event_key: String,
    /// Measures a number, so that an event without one is of no use to it.
    pub is_numeric: bool,
    /// The context kinds it analyses; `None` when LaunchDarkly does not tell.
    pub units: Option<Vec<String>>,
    pub archived: bool,
}

/// What a segment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentFacts {
    Standard,
    Big { context_kind: String },
    Synced { context_kind: String, integration: String },
}

/// What the routes of a target want to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether the metrics matter.
    pub metrics: bool,
    /// Segments by key.
    pub segments: Vec<String>,
}

/// What the checks would like to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// Everything once more: something seems to be missing.
    Again,
    /// A segment that a record names.
    Segment(String),
}

impl Knowledge {
    /// Puts metrics in the order in which they are asked for.
    pub fn by_event_key(metrics: Vec<MetricFacts>) -> MetricsByEventKey {
        let mut by_key = MetricsByEventKey::new();
        for metric in metrics {
            by_key.entry(metric.event_key.clone()).or_default().push(metric);
        }
        by_key
    }
}
