//! `ldsink` streams change events from Apache Kafka into LaunchDarkly.

pub mod model;
pub mod pipeline;
pub mod sandbox;
