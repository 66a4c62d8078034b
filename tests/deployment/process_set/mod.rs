//! The services of `docker-compose.yml` as processes of this machine, because no container engine runs
//! where this is tested.
//!
//! What is run is read from the compose file: the commands, variables, mounts, conditions and health
//! checks, so file and test cannot drift apart. Kafka is the image's version with the image's own set-up;
//! the scripts run unchanged with Kafka's own tools. [`places`] holds all that is replaced: container paths
//! and addresses.
//!
//! What is not run: Grafana (what it is given is followed to what it would show), the images, and what
//! only an engine does: users, read-only file systems, dropped capabilities, memory limits, restarts.

mod account;
mod container;
mod declared;
mod grafana;
mod image;
mod launchdarkly;
mod places;
mod set;
mod story;
