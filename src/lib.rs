//! `ldsink` streams change events from Apache Kafka into LaunchDarkly.
//!
//! A record's path, in reading order: [`pipeline::source`] reads it, [`pipeline::decode`] finds its
//! documents, [`pipeline::route`] maps them to operations, [`pipeline::batch`] collects metric events
//! and [`pipeline::coalesce`] what needs order, [`pipeline::deliver`] sends them through
//! [`launchdarkly`], [`pipeline::dead_letter`] keeps what
//! is refused, [`pipeline::ack`] knows what is settled and [`pipeline::commit`] when to tell Kafka.
//! [`pipeline::path`] is that path as code; [`pipeline::succession`] lets the path of a changed
//! configuration follow it; [`app`] puts everything together. [`telemetry`] tells what goes on, and
//! its admin address takes what a person asks for. [`preview`] tells of a
//! record what that path would make of it, without sending anything; [`dlq`] shows what was refused
//! and sends it once more.
//!
//! # Promises
//!
//! - **P1** Every record has exactly one outcome: delivered, filtered or dead-lettered.
//! - **P2** Nothing is lost: the committed offset never passes an unsettled record.
//! - **P3** Nothing is counted twice: the same records make the same request under the same ID.
//! - **P4** Order per key, where order matters.
//! - **P5** Memory is bounded by what is in flight, never by the backlog.
//! - **P6** What LaunchDarkly asks for and what the user allows bounds every request.
//! - **P7** A fault of the configuration stops a lane; it never consumes records.
//! - **P8** What cannot work is refused at start, all mistakes at once.
//! - **P9** A clean stop drains and commits; a restart after it repeats nothing.
//!
//! # Layers
//!
//! [`model`] names nothing of ours. [`launchdarkly`], [`kafka`], [`resilience`], [`runtime`] and
//! [`telemetry`] name `model` at most. [`sandbox`] names nothing of ours: it is a second,
//! independent reading of LaunchDarkly's documentation. Stages of the pipeline do not name each
//! other. `tests/architecture.rs` keeps it so.

pub mod app;
pub mod audit;
pub mod cli;
pub mod config;
pub mod demo;
pub mod dlq;
pub mod kafka;
pub mod launchdarkly;
pub mod model;
pub mod pipeline;
pub mod preview;
pub mod resilience;
pub mod runtime;
pub mod sandbox;
pub mod telemetry;
