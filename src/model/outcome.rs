//! How a record can end: delivered, filtered or dead-lettered, and why.
//!
//! # Invariants
//! - O1: every record has exactly one outcome. When its parts end differently, the gravest counts:
//!   dead-lettered over delivered over filtered.
//! - O2: every reason is one of a closed list, so that it can be a metric label and a header.
//!
//! Not here: who decides (`route`, `deliver`), where it is counted (`ack`).

use bytes::Bytes;

use super::record::OwnedRecord;

/// The fate of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Filtered,
    Delivered,
    DeadLettered,
}

/// Why a record yields no operation, although nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterReason {
    /// A record without a value, for a route that maps rows or in a format that sends the delete as a
    /// record of its own.
    Tombstone,
    /// A truncate or message event, which has no row to map.
    NoRow,
    /// Debezium's heartbeat, transaction or schema-change record.
    Housekeeping,
    /// The route's `when` said no.
    When,
    /// A row was deleted, and the metric route ignores that.
    DeleteIgnored,
    /// The row is in no segment, and was in none.
    NoSegment,
    /// A replayed record, for a route that took it before it was refused by another one.
    TakenBefore,
}

/// Why a record is refused. The catalogue is public: it is in the README and in every dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalReason {
    /// The value is not the JSON document that the route's format demands.
    InvalidJson,
    /// The JSON is not an envelope of the route's format.
    InvalidEnvelope,
    /// A field the mapping requires is absent or null.
    MissingField,
    /// A field has a type that cannot become what the mapping needs.
    WrongType,
    /// A context key is empty.
    EmptyContextKey,
    /// The event time is not a time, or lies outside 2000 to 2099.
    ImplausibleTime,
    /// `when` or a computed value failed for this record.
    ExpressionFailed,
    /// What the record became is larger than one request may be.
    TooLarge,
    /// LaunchDarkly refused it with 400, 413 or 422 when sent alone.
    RefusedByLaunchDarkly,
    /// The record is no metric definition that LaunchDarkly takes.
    InvalidDefinition,
    /// The metric exists with another kind, which cannot be changed.
    MetricKindDiffers,
    /// The record names a segment that does not exist.
    SegmentMissing,
    /// No metric that is in use has the event's key.
    MetricMissing,
    /// The metrics of the event's key analyse other context kinds.
    AnalysisUnitMissing,
    /// The metrics of the event's key measure a number, and the event has none.
    ValueMissing,
    /// The segment is of another kind than the route says.
    SegmentKindDiffers,
    /// The segment holds contexts of another kind than the route says.
    ContextKindDiffers,
    /// The text cannot be the key of a metric or a segment.
    InvalidKey,
    /// LaunchDarkly did not take it within the route's `retry_for`.
    GaveUp,
    /// No route matched and `unmatched: dead_letter` is set.
    Unmatched,
    /// A replayed record is for a route that its topic does not have.
    UnknownRoute,
}

/// What stopped a record, with the words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: RefusalReason,
    /// The stage that refused it.
    pub stage: Stage,
    /// The route it was on, when it had reached one.
    pub route: Option<String>,
    /// What was wrong, with the place, without payload data beyond a short excerpt.
    pub detail: String,
    /// The HTTP status of LaunchDarkly's answer.
    pub status: Option<u16>,
    /// How LaunchDarkly's answer begins, without the token.
    pub answer: Option<String>,
    /// Requests made for it.
    pub attempts: u32,
}

/// Where in the pipeline a refusal happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    Decode,
    Route,
    Check,
    Deliver,
}

/// A record on its way to the dead-letter topic.
#[derive(Debug)]
pub struct DeadLetter {
    pub origin: DeadLetterOrigin,
    pub refusal: Refusal,
    /// Whose settlement this is, see [`super::progress::Slot`].
    pub slot: super::progress::Slot,
}

/// Where the original record is to be found.
#[derive(Debug)]
pub enum DeadLetterOrigin {
    /// Copied when it was refused.
    Copied(OwnedRecord),
    /// Still in Kafka only: it was refused after its bytes had left our memory. Should it be gone
    /// from there, this is what was sent to LaunchDarkly for it.
    InKafka { sent: Bytes },
}

// === impl Outcome ===

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Filtered, Self::Delivered, Self::DeadLettered];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filtered => "filtered",
            Self::Delivered => "delivered",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

// === impl FilterReason ===

impl FilterReason {
    pub const ALL: [Self; 7] = [
        Self::Tombstone,
        Self::NoRow,
        Self::Housekeeping,
        Self::When,
        Self::DeleteIgnored,
        Self::NoSegment,
        Self::TakenBefore,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::NoRow => "no_row",
            Self::Housekeeping => "housekeeping",
            Self::When => "when",
            Self::DeleteIgnored => "delete_ignored",
            Self::NoSegment => "no_segment",
            Self::TakenBefore => "taken_before",
        }
    }
}

// === impl RefusalReason ===

impl RefusalReason {
    pub const ALL: [Self; 21] = [
        Self::InvalidJson,
        Self::InvalidEnvelope,
        Self::MissingField,
        Self::WrongType,
        Self::EmptyContextKey,
        Self::ImplausibleTime,
        Self::ExpressionFailed,
        Self::TooLarge,
        Self::RefusedByLaunchDarkly,
        Self::InvalidDefinition,
        Self::MetricKindDiffers,
        Self::SegmentMissing,
        Self::MetricMissing,
        Self::AnalysisUnitMissing,
        Self::ValueMissing,
        Self::SegmentKindDiffers,
        Self::ContextKindDiffers,
        Self::InvalidKey,
        Self::GaveUp,
        Self::Unmatched,
        Self::UnknownRoute,
    ];

    /// What the checks of a route may find.
    pub const OF_CHECKS: [Self; 7] = [
        Self::MetricMissing,
        Self::AnalysisUnitMissing,
        Self::ValueMissing,
        Self::SegmentMissing,
        Self::SegmentKindDiffers,
        Self::ContextKindDiffers,
        Self::InvalidKey,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidEnvelope => "invalid_envelope",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::EmptyContextKey => "empty_context_key",
            Self::ImplausibleTime => "implausible_time",
            Self::ExpressionFailed => "expression_failed",
            Self::TooLarge => "too_large",
            Self::RefusedByLaunchDarkly => "refused_by_launchdarkly",
            Self::InvalidDefinition => "invalid_definition",
            Self::MetricKindDiffers => "metric_kind_differs",
            Self::SegmentMissing => "segment_missing",
            Self::MetricMissing => "metric_missing",
            Self::AnalysisUnitMissing => "analysis_unit_missing",
            Self::ValueMissing => "value_missing",
            Self::SegmentKindDiffers => "segment_kind_differs",
            Self::ContextKindDiffers => "context_kind_differs",
            Self::InvalidKey => "invalid_key",
            Self::GaveUp => "gave_up",
            Self::Unmatched => "unmatched",
            Self::UnknownRoute => "unknown_route",
        }
    }

    /// What a person can do about it. Part of every dead letter.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::InvalidJson => {
                "mend the producer, or set the route's `format` to what the topic really holds"
            }
            Self::InvalidEnvelope => {
                "set the route's `format` to match the connector's output (`json` for plain objects)"
            }
            Self::MissingField => {
                "give the field a `default`, mark it `optional`, or filter such records with `when`"
            }
            Self::WrongType => "map a field of the right type, or convert it with `as`",
            Self::EmptyContextKey => {
                "filter such records with `when`; LaunchDarkly does not count events without a context key"
            }
            Self::ImplausibleTime => {
                "map a Unix time (s, ms, µs or ns) or an RFC 3339 text, say what it is with `as: timestamp`, or leave `time` out to use the record's timestamp"
            }
            Self::ExpressionFailed => "guard the expression, for example with has(row.field)",
            Self::TooLarge => "map less `data`",
            Self::RefusedByLaunchDarkly => {
                "read the status and the detail, mend the mapping, then replay"
            }
            Self::InvalidDefinition => "mend the row, or map the field differently",
            Self::MetricKindDiffers => "use another metric key; LaunchDarkly cannot change a kind",
            Self::SegmentMissing => "create the segment, or set `create: true`, then replay",
            Self::MetricMissing => {
                "create a metric with this event key in LaunchDarkly, or mend the route's `key`"
            }
            Self::AnalysisUnitMissing => {
                "add the context kind to the metric's analysis units, or map one of them in `context`"
            }
            Self::ValueMissing => "map `value`, or make the metric one that only counts",
            Self::SegmentKindDiffers => "mend the route's `kind`, or name another segment",
            Self::ContextKindDiffers => "mend the route's `context_kind`, or name another segment",
            Self::InvalidKey => {
                "use a letter or digit, then letters, digits, `.`, `_` and `-`, at most 256"
            }
            Self::GaveUp => {
                "replay when LaunchDarkly is back; a metric event whose answer got lost may then count again"
            }
            Self::Unmatched => "add a route for these records, or set `unmatched: ignore`",
            Self::UnknownRoute => {
                "replay it with `--to-route` and the name of the route that takes its place"
            }
        }
    }
}

// === impl Stage ===

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Route => "route",
            Self::Check => "check",
            Self::Deliver => "deliver",
        }
    }
}
