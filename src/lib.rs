//! `ldsink` streams change events from Apache Kafka into LaunchDarkly.

pub mod sandbox;
