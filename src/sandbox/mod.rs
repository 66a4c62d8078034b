//! A LaunchDarkly stand-in: accepts what LaunchDarkly accepts, refuses what it refuses, and remembers.
//!
//! `ldsink sandbox` starts it for people, `ldsink demo` and the tests start it in-process. It is
//! written from LaunchDarkly's documentation alone and names no other module of this crate: a
//! misreading would have to happen twice, independently, before both sides agreed on it.
//!
//! What it shows that the real thing keeps to itself: the events that were answered 202 and will
//! never count, and the requests that were dropped as repeats.
//!
//! ```text
//! server ─▶ line ─▶ routes ─▶ reception ─▶ event_check ─▶ journal
//!                               │  faults, account (tokens), limits
//! ```
//!
//! Reading order: `routes::metric_import` for the story of a request, `reception` for what every
//! operation shares, then the pure parts: `event_check`, `journal`, `faults`, `limits`.
//!
//! Never: a connection to LaunchDarkly, persistence, TLS. Not here yet: the REST operations on
//! metrics and segments (`routes` has their place).

mod account;
mod clock;
mod event_check;
mod faults;
mod import_body;
mod journal;
mod limits;
mod line;
mod operation;
mod reception;
mod refusal;
mod routes;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use self::server::{Sandbox, SandboxError};
pub use self::settings::{DEFAULT_TOKEN, JournalMode, Settings};
