//! What a person sees and does at the admin address, on a loaded service with a real Kafka.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod page;
mod scene;
