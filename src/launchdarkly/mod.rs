//! LaunchDarkly's APIs as a client sees them: one file per API, the answers, the hints.
//!
//! Not here: when to send, how often, and what to do with an answer (`resilience`,
//! `pipeline::deliver`).

pub mod answer;
pub mod events;
pub mod hints;
mod http;
pub mod settings;
