//! How often the event path allocates for a record: decode, route, check, batch, ledger. Unlike times,
//! these counts are the same on every machine, so they are asserted to the allocation.
//!
//! Counted is what the consumer thread does for the records of a whole batch, after some batches that
//! warmed it up: whatever is reused from record to record has its size by then. What a batch costs (its
//! body and marks, which grow, and its way to the lane) is told apart from what a record costs.

#![cfg(test)]

#[path = "../benches/whole/record.rs"]
mod record;
#[path = "support/event_path.rs"]
mod support;

use allocation_counter::measure;

use self::record::Shape;
use self::support::EventPath;

const BATCH: usize = 1_000;
/// Body and marks double until they have their size; then the journal and the channel. 17 as measured.
const MOST_PER_BATCH: u64 = 20;

/// What records cost, in allocations.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    /// Of the cheapest record of a batch, which nearly all of them are like.
    record: u64,
    /// What the batch costs beyond that.
    batch: u64,
    /// What it costs that the batch was accepted.
    accepted: u64,
}

/// Sends batches of records through a path, one after another, and counts in the last one.
fn cost(format: &str, shape: Shape) -> Cost {
    let mut path = EventPath::new(format, BATCH);
    let mut last = None;
    let mut value = String::new();
    for batch in 0..4 {
        let mut counts = Vec::new();
        for n in batch * BATCH..(batch + 1) * BATCH {
            record::record(shape, 1, n, 1_767_225_600_000, &mut value);
            let offset = i64::try_from(n).unwrap();
            counts.push(measure(|| path.take(offset, &value)).count_total);
        }
        let record = counts.iter().copied().min().unwrap();
        let batch = counts.iter().sum::<u64>() - record * u64::try_from(counts.len()).unwrap();
        assert_eq!(path.accept(), BATCH, "all records are events of one batch");
        let accepted = measure(|| path.turn()).count_total;
        last = Some(Cost { record, batch, accepted });
    }
    last.unwrap()
}

#[track_caller]
fn assert_cost(format: &str, shape: Shape, per_record: u64) {
    let cost = cost(format, shape);
    assert_eq!(cost.record, per_record, "allocations per record; {cost:?}");
    assert!(cost.batch <= MOST_PER_BATCH, "some records cost more than others: {cost:?}");
    assert!(cost.accepted <= MOST_PER_BATCH, "what is accepted costs by the record: {cost:?}");
}

#[tokio::test]
async fn a_plain_record() {
    assert_cost("json", Shape::Plain, 0);
}

#[tokio::test]
async fn a_debezium_record() {
    assert_cost("debezium", Shape::Debezium, 0);
}

#[tokio::test]
async fn a_debezium_record_with_its_schema() {
    assert_cost("debezium", Shape::DebeziumWithSchema, 0);
}
