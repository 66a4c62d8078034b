//! `ldsink` streams change events from Apache Kafka into LaunchDarkly.

pub mod config;
pub mod kafka;
pub mod launchdarkly;
pub mod model;
pub mod pipeline;
pub mod resilience;
pub mod runtime;
pub mod sandbox;
pub mod telemetry;
