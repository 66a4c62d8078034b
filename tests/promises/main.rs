//! The promises, each against a real Apache Kafka and the sandbox, with an oracle that accounts for
//! every produced record.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod checks;
mod p1_giving_up;
mod p1_one_outcome;
mod p1_preview;
mod p2_batches;
mod p2_dead_letters;
mod p2_gaps;
mod p2_guard;
mod p2_kafka_faults;
mod p2_members;
mod p2_nothing_lost;
mod p2_offsets;
mod p2_rebalance;
mod p2_topics;
mod p3_crashes;
mod p3_reload;
mod p3_replays;
mod p4_order;
mod p5_bounded_memory;
mod p6_hints;
mod p6_limits;
mod p6_outage;
mod p7_configuration_faults;
mod p7_not_launchdarkly;
mod p8_refused_at_start;
mod p8_secrets;
mod p9_broken_parts;
mod p9_clean_stop;
mod p9_kafka_gone;
mod real_envelopes;
mod spans;
mod synced_segments;
