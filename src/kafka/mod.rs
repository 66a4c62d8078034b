//! Reaching a Kafka cluster: properties shared by all our clients, and what is checked at start.
//!
//! Not here: consuming (`pipeline::source`), producing dead letters (`pipeline::dead_letter`).

pub mod connection;
pub mod message;
pub mod reader;
pub mod replay;
pub mod scan;
pub mod settings;
pub mod startup;
pub mod tail;
