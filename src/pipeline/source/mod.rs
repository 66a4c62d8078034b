//! Kafka, read.
pub mod settings;
