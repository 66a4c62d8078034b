//! What the service tells about itself: metrics, health, logs, spans, a board of what is under way, and
//! the address where they are read and where a person asks for changes.
//!
//! Labels come from closed lists and from the configuration, never from records, so their number is
//! bounded and no payload data can leak.

pub mod admin;
pub mod board;
pub mod clock;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod settings;
pub mod traces;
