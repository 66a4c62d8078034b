//! What a request is for: LaunchDarkly counts requests by method and kind of address, so each of these
//! has a limit of its own.
//!
//! Source: <https://launchdarkly.com/docs/api>, section rate limiting.

/// A method and a kind of address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    MetricImport,
    MetricGet,
    MetricList,
    MetricCreate,
    MetricUpdate,
    SegmentGet,
    SegmentList,
    SegmentCreate,
    SegmentUpdate,
    SegmentContexts,
    SegmentTargets,
}

impl Endpoint {
    /// The name that metrics give it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MetricImport => "metric_import",
            Self::MetricGet => "metric_get",
            Self::MetricList => "metric_list",
            Self::MetricCreate => "metric_create",
            Self::MetricUpdate => "metric_update",
            Self::SegmentGet => "segment_get",
            Self::SegmentList => "segment_list",
            Self::SegmentCreate => "segment_create",
            Self::SegmentUpdate => "segment_update",
            Self::SegmentContexts => "segment_contexts",
            Self::SegmentTargets => "segment_targets",
        }
    }
}
