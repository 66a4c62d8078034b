//! Keeps what is deployed true: the compose environment, its configuration and its scripts, the
//! manifests for Kubernetes, the unit for systemd, the dashboard and the alert rules.
//!
//! No container is started: what is checked is that the files agree with each other, with the
//! metrics that exist and with the command line. That the images behave is not.

#![cfg(test)]

mod compose;
mod configuration;
mod dashboard;
mod files;
mod kubernetes;
mod metrics;
mod promql;
#[path = "../support/python.rs"]
mod python;
mod rules;
mod schemas;
mod scripts;
mod systemd;
