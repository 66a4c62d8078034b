//! `ldsink preview` and `ldsink test` as a person runs them: on the shipped files, for every way a
//! record can end, and against a real Kafka.

#![cfg(test)]

mod computed;
mod previewed;
mod run;
mod shipped;
#[path = "../support/mod.rs"]
mod support;
mod tested;
