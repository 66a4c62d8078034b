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
//! server ─▶ line ─▶ routes ─▶ reception ─▶ event_check | metrics | segments ─▶ journal
//!                               │  faults, account (tokens), limits, rights
//! ```
//!
//! Reading order: `routes::metric_import` and `routes::segments` for the story of a request,
//! `reception` for what every operation shares, then the pure parts: `event_check`, `metrics`,
//! `segments`, `journal`, `faults`, `limits`.
//!
//! What the REST API keeps, the sandbox keeps too (`metrics`, `segments`), with a history of every
//! change.
//!
//! Never: a connection to LaunchDarkly, persistence, TLS. Not here: segment imports, exports and
//! rules, metric groups.

mod account;
mod clock;
mod environments;
mod event_check;
mod faults;
mod history;
mod identifiers;
mod import_body;
mod journal;
mod json_patch;
mod limits;
mod line;
mod metrics;
mod operation;
mod page;
mod partner_body;
mod reception;
mod refusal;
mod rights;
mod routes;
mod segment_rules;
mod segments;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use self::segment_rules::{ApprovalEnvironment, KeyLimit, SegmentRules};
pub use self::server::{Sandbox, SandboxError};
pub use self::settings::{ClientSideId, DEFAULT_TOKEN, JournalMode, Settings};
