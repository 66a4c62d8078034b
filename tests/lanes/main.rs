//! From a record to LaunchDarkly and back without Kafka: the path, its lanes and the sandbox in one
//! process, so that hundreds of interleavings and every error class take seconds.

#![cfg(test)]

#[path = "../support/launchdarkly.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod launchdarkly;
#[path = "../support/otlp.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod otlp;

mod assignments;
mod errands;
mod error_classes;
mod fairness;
mod halted;
mod missing;
mod rig;
mod sequential;
mod tables;
mod traces;
