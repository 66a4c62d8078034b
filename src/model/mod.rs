//! The words of the pipeline: record, change, outcome, progress.
//!
//! Every stage speaks in these types and no stage names another one, so this is where their
//! conversation can be read. Data flows down the list:
//!
//! [`record`] (what Kafka holds) → [`change`] (what happened to a row) → [`operation`] (what we ask
//! of LaunchDarkly; several become one [`intent`]) → [`batch`] (metric events cut for one request) → [`outcome`] (how each record ended) → [`progress`] (what Kafka may forget).
//!
//! Beside the flow: [`fence`] (what ends with an assignment), [`claim`] (what operations take for granted) and [`knowledge`] (what LaunchDarkly
//! has).
//!
//! Not here: any behaviour that reads a clock, a socket or a configuration. This module names no
//! other module of the crate.

pub mod batch;
pub mod change;
pub mod claim;
pub mod fence;
pub mod intent;
pub mod knowledge;
pub mod letter;
pub mod operation;
pub mod outcome;
pub mod progress;
pub mod record;
pub mod routes;
pub mod topic;
pub mod trace;
