//! What each pure stage costs by itself, on one core and without Kafka: decode per format, route, batch,
//! ledger, body, gzip.
//!
//! ```sh
//! cargo bench --bench micro                # all stages
//! cargo bench --bench micro -- decode      # those with this in their name
//! ```
//!
//! What a whole record costs a whole process is `benches/whole`.

#![cfg(test)]

#[path = "../../tests/support/event_path.rs"]
mod event_path;
#[path = "../whole/record.rs"]
mod record;
mod stages;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    micro,
    stages::decode,
    stages::pick_and_route,
    stages::batch,
    stages::ledger,
    stages::body,
    stages::path
);
criterion_main!(micro);
