//! What the service tells about itself, and where.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;

/// The admin HTTP listener: the status page, `/metrics`, `/live`, `/ready` and the rest.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    pub listen: SocketAddr,
    /// Needed for whatever changes something.
    pub token: Option<SecretString>,
}

/// Where spans are exported to, and which ones.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The collector's base address, without a trailing slash.
    pub endpoint: String,
    /// Sent with every export, by name.
    pub headers: Vec<(String, SecretString)>,
    pub service_name: String,
    /// Which of the service's processes this is; `None` makes up a name for this one.
    pub instance: Option<String>,
    /// How many in a hundred of the traces that begin here are exported.
    pub sample_percent: u32,
    /// For one export with its answer.
    pub timeout: Duration,
    /// The longest time a span waits for others to go with it.
    pub linger: Duration,
    /// Spans that may wait.
    pub max_queue: usize,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A level (`info`) or a filter (`info,ldsink::pipeline=debug`).
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}
