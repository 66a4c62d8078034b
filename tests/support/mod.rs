//! What the end-to-end tests stand on: a real Apache Kafka, a real Debezium on a real PostgreSQL, a
//! LaunchDarkly sandbox, the service as a process of its own, and waiting without sleeping.
//!
//! A test binary takes it in with `#[path = "../support/mod.rs"] mod support;`, below a `#![cfg(test)]`
//! that extends the lint exemptions for tests to these helpers.
//!
//! Not here: what ldsink promises (the test binaries).

#![allow(dead_code, unused_imports, reason = "every test binary uses its own part of this")]

pub(crate) mod browser;
pub(crate) mod debezium;
pub(crate) mod kafka;
pub(crate) mod launchdarkly;
pub(crate) mod maven;
pub(crate) mod oracle;
pub(crate) mod otlp;
pub(crate) mod production;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod service;
pub(crate) mod stranger;
pub(crate) mod supervised;
pub(crate) mod wait;
