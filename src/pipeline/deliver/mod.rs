//! Sends batches and decides what each answer means for their records.
//!
//! | answer | consequence |
//! |---|---|
//! | accepted | the batch is settled |
//! | no answer, 408, 429, 5xx | the same request again, for ever, not before the server's hint |
//! | 409 | looked at anew where something was read before (a metric, a segment that is made), then sent again, with pauses |
//! | 400, 413, 422 with several records | split; the halves are tried on their own |
//! | the same with one record | that record is dead-lettered |
//! | 401, 403, 404, 405, 406 | the lane halts; its records wait in Kafka |
//!
//! What belongs to a route that the guard has halted waits before it is sent, see `guarded`.
//!
//! A 404 may also be about the metric or the segment. That is believed once LaunchDarkly has shown
//! that it knows the project and the environment, by a creation or by a list.
//!
//! [`knowledge`] reads what LaunchDarkly has, for the checks.
//! [`pacing`] lets requests go, [`courier`] gets one request through and keeps the lane's state; [`events`], [`segments`] and
//! [`definitions`] know what to ask for and what to do with a refusal, [`refused`] how it is told, `sight` what
//! is counted, `spans` what is traced.
//!
//! # Invariants
//! - V1: every batch is settled or dead-lettered exactly once, record by record, unless the lane is
//!   abandoned; then nothing of it is settled and Kafka hands it out again.
//! - V2: a repeat of metric events is the same bytes under the same payload ID (P3).
//!
//! Not here: when a batch is cut (`batch`, `coalesce`), what settling moves (`ack`).

pub mod courier;
pub mod definitions;
pub mod events;
mod guarded;
pub mod knowledge;
mod mending;
pub mod ordered;
pub mod pacing;
mod patience;
pub mod refused;
mod remedy;
mod seat;
pub mod segments;
mod sight;
mod spans;
