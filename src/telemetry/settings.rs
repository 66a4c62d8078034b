//! What the service tells about itself, and where.

use std::net::SocketAddr;

use secrecy::SecretString;

/// The admin HTTP listener: the status page, `/metrics`, `/live`, `/ready` and the rest.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    pub listen: SocketAddr,
    /// Needed for whatever changes something.
    pub token: Option<SecretString>,
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
