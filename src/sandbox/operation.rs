//! Names what a request asks of LaunchDarkly, and where.
//!
//! Faults and limits are set per operation, so each operation the sandbox learns gets a variant here
//! first; the rest of the module follows from the compiler's complaints.
//!
//! Not here: how an operation is carried out (`routes`).

use serde::{Deserialize, Serialize};

/// One thing LaunchDarkly can be asked to do: a URL pattern and its verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    /// `POST /v2/event-data-import/{project}/{environment}`
    MetricImport,
}

/// The project and environment a request addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) project: String,
    pub(super) environment: String,
}
