//! What the service tells about itself: metrics, health, logs, and the address they are read at.
//!
//! Labels come from closed lists and from the configuration, never from records, so their number is
//! bounded and no payload data can leak.

pub mod admin;
pub mod clock;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod settings;
