//! The promises, each against a real Apache Kafka and the sandbox, with an oracle that accounts for
//! every produced record.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod p1_one_outcome;
mod p2_nothing_lost;
mod p4_order;
mod p7_configuration_faults;
mod p8_refused_at_start;
mod p9_clean_stop;
mod real_envelopes;
