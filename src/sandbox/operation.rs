//! Names what a request asks of LaunchDarkly, and where.
//!
//! Faults and limits are set per operation, so each operation the sandbox learns gets a variant here
//! first; the rest of the module follows from the compiler's complaints.
//!
//! Not here: how an operation is carried out (`routes`).

use serde::{Deserialize, Serialize};

/// One thing LaunchDarkly can be asked to do: a URL pattern and its verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    /// `GET /api/v2/caller-identity`
    CallerIdentity,
    /// `POST /v2/event-data-import/{project}/{environment}`
    MetricImport,
    /// `GET /api/v2/metrics/{project}`
    MetricList,
    /// `POST /api/v2/metrics/{project}`
    MetricCreate,
    /// `GET /api/v2/metrics/{project}/{key}`
    MetricGet,
    /// `PATCH /api/v2/metrics/{project}/{key}`
    MetricUpdate,
    /// `DELETE /api/v2/metrics/{project}/{key}`
    MetricDelete,
    /// `GET /api/v2/segments/{project}/{environment}`
    SegmentList,
    /// `POST /api/v2/segments/{project}/{environment}`
    SegmentCreate,
    /// `GET /api/v2/segments/{project}/{environment}/{key}`
    SegmentGet,
    /// `PATCH /api/v2/segments/{project}/{environment}/{key}`
    SegmentUpdate,
    /// `DELETE /api/v2/segments/{project}/{environment}/{key}`
    SegmentDelete,
    /// `POST /api/v2/segments/{project}/{environment}/{key}/contexts`
    SegmentContexts,
    /// `POST /api/v2/segments/{project}/{environment}/{key}/users`
    SegmentUsers,
    /// `GET /api/v2/segments/{project}/{environment}/{key}/contexts/{context}`
    SegmentContextGet,
    /// `GET /api/v2/segments/{project}/{environment}/{key}/users/{user}`
    SegmentUserGet,
    /// `POST /api/v2/segment-targets/{integration}`
    SegmentTargets,
}

/// The project and environment a request addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(super) struct Target {
    pub(super) project: String,
    pub(super) environment: String,
}

/// What a request addresses, as far as it can be told before the request is judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) project: Option<String>,
    pub(super) environment: Option<String>,
    /// The metric or segment.
    pub(super) key: Option<String>,
}

/// Where and by what something was changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion {
    pub(super) operation: Operation,
    pub(super) at_ms: u64,
}

// === impl Place ===

impl Place {
    pub(super) fn of_project(project: &str) -> Self {
        Self { project: Some(project.to_owned()), ..Self::default() }
    }

    pub(super) fn of_target(target: &Target) -> Self {
        Self { environment: Some(target.environment.clone()), ..Self::of_project(&target.project) }
    }

    pub(super) fn with_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }
}
