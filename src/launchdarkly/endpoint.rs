//! What a request is for: LaunchDarkly counts requests by method and kind of address, so each of these
//! has a limit of its own.
//!
//! Source: <https://launchdarkly.com/docs/api>, section rate limiting.

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
}

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

    /// The method of its requests.
    pub fn method(self) -> &'static str {
        match self {
            Self::MetricGet | Self::MetricList | Self::SegmentGet | Self::SegmentList => "GET",
            Self::MetricUpdate | Self::SegmentUpdate => "PATCH",
            Self::MetricImport
            | Self::MetricCreate
            | Self::SegmentCreate
            | Self::SegmentContexts
            | Self::SegmentTargets => "POST",
        }
    }

    /// The path of its requests, with names in the places of keys.
    pub fn template(self) -> &'static str {
        match self {
            Self::MetricImport => "/v2/event-data-import/{projectKey}/{environmentKey}",
            Self::MetricList | Self::MetricCreate => "/api/v2/metrics/{projectKey}",
            Self::MetricGet | Self::MetricUpdate => "/api/v2/metrics/{projectKey}/{metricKey}",
            Self::SegmentList | Self::SegmentCreate => {
                "/api/v2/segments/{projectKey}/{environmentKey}"
            }
            Self::SegmentGet | Self::SegmentUpdate => {
                "/api/v2/segments/{projectKey}/{environmentKey}/{segmentKey}"
            }
            Self::SegmentContexts => {
                "/api/v2/segments/{projectKey}/{environmentKey}/{segmentKey}/contexts"
            }
            Self::SegmentTargets => "/api/v2/segment-targets/{integrationKey}",
        }
    }
}
