//! P6 on paused time: the budgets of `resilience` against servers whose limits nobody tells them.
//!
//! Every scenario prints its figures: `cargo test --test pacing -- --nocapture`.

#![cfg(test)]

mod clients;
mod limits;
mod outages;
mod replicas;
mod server;
