//! Keeps what is deployed true: the compose environment, its configuration and its scripts, the
//! manifests for Kubernetes, the unit for systemd, the dashboard and the alert rules.
//!
//! No container is started: what is checked is that the files agree with each other, with the metrics that
//! exist and with the command line. But what the compose file declares is run as processes of this machine,
//! see `process_set`, and a real Prometheus takes the rules and looks at running services, see `live`.

#![cfg(test)]

mod compose;
mod configuration;
mod dashboard;
mod files;
mod kubernetes;
mod live;
mod metrics;
mod process_set;
mod promql;
#[path = "../support/python.rs"]
mod python;
mod rules;
mod schemas;
mod scripts;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
