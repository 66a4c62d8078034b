//! What a sandbox is told when it starts.
//!
//! Tokens and segment rules can be replaced at run time over HTTP; the rest holds for the sandbox's
//! life.
//!
//! # Invariants
//! - S1: printing the settings never prints a token.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;

use super::segment_rules::SegmentRules;

/// The token a sandbox accepts unless told otherwise.
pub const DEFAULT_TOKEN: &str = "api-sandbox";

/// LaunchDarkly asks for bodies "under 10 MB" and leaves open what a megabyte is; this is the
/// smaller reading, measured after decompression.
const DEFAULT_MAX_BODY_BYTES: usize = 10_000_000;

/// How much the journal remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalMode {
    /// Every request and every accepted event; memory grows with the traffic.
    #[default]
    Full,
    /// Counters and payload IDs only, for benchmarks and long runs.
    Counts,
}

/// The client-side ID of an environment, by which partner integrations name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSideId {
    /// As in a request's `environmentId`.
    pub id: String,
    /// The project's key.
    pub project: String,
    /// The environment's key.
    pub environment: String,
}

/// Settings of one sandbox.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes any free port. The control API has no authentication, so
    /// anything but a loopback address opens it to the network.
    pub listen: SocketAddr,
    /// Access tokens that are accepted. Without any, every request is answered 401.
    pub tokens: Vec<String>,
    /// Known `(project, environment)` pairs; others are answered 404. `None`: all are known.
    pub environments: Option<Vec<(String, String)>>,
    /// Client-side IDs of environments; the others have derived ones, which
    /// `GET /sandbox/client-side-ids/{project}/{environment}` tells.
    pub client_side_ids: Vec<ClientSideId>,
    /// Metrics that exist from the start, by project and event key: they measure a number and analyse
    /// users. The event key is their key too.
    pub event_metrics: Vec<(String, String)>,
    /// What writes to segments are refused for, beyond what LaunchDarkly documents.
    pub segment_rules: SegmentRules,
    /// Largest accepted body, uncompressed. Values above 4 GiB act as 4 GiB.
    pub max_body_bytes: usize,
    /// How much the journal remembers.
    pub journal: JournalMode,
    /// Where the dice of fault rules with a `probability` start, so that a run can be repeated.
    pub fault_seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tokens: vec![DEFAULT_TOKEN.to_owned()],
            environments: None,
            client_side_ids: Vec::new(),
            event_metrics: Vec::new(),
            segment_rules: SegmentRules::default(),
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            journal: JournalMode::Full,
            fault_seed: 0,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("tokens", &format_args!("{} redacted", self.tokens.len()))
            .field("environments", &self.environments)
            .field("client_side_ids", &self.client_side_ids)
            .field("event_metrics", &self.event_metrics)
            .field("segment_rules", &self.segment_rules)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("journal", &self.journal)
            .field("fault_seed", &self.fault_seed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_token_s1() {
        let settings = Settings { tokens: vec!["api-secret".to_owned()], ..Settings::default() };
        let printed = format!("{settings:?}");
        assert!(!printed.contains("api-secret"), "{printed}");
        assert!(printed.contains("1 redacted"), "{printed}");
    }
}
