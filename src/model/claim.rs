//! What an operation takes for granted about LaunchDarkly, and what to do when it is not so.
//!
//! LaunchDarkly answers 202 to an event that no metric listens to. A claim is what has to be true for
//! the operation to have an effect; `knowledge` is what is true.

use std::sync::Arc;

use super::operation::SegmentShape;

/// What becomes of an operation that LaunchDarkly would take without any effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckPolicy {
    /// It is sent all the same, counted and logged.
    Warn,
    /// Its record is dead-lettered.
    DeadLetter,
    /// Nobody looks.
    Off,
}

/// What the operations of one route take for granted. A key is `None` when records name it.
#[derive(Debug, Clone)]
pub enum Claim {
    /// A metric listens to the event key, analyses one of the context kinds, and has what to measure.
    Event { key: Option<String>, context_kinds: Vec<String>, value: Presence },
    /// The segment is there, or will be made, in this shape.
    Segment { key: Option<String>, shape: Arc<SegmentShape> },
    /// Nothing but that the key can be one; events with this key will have a metric.
    Metric { key: Option<String>, event_key: Option<String> },
}

/// Whether the records of a route bring something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Always,
    Sometimes,
    Never,
}
