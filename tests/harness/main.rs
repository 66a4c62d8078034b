//! Proves the harness that all other end-to-end tests lean on.
//!
//! A fault here would show as a wrong verdict about ldsink elsewhere: a record the helper lost, a
//! broker that outlived its test, a wait that missed what it waited for.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod installation;
mod lifetime;
mod single_broker;
mod waiting;
