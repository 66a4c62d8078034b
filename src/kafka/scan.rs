//! Reads a whole topic, from its oldest record to where it ended at the beginning.
//!
//! Not here: how the group is left alone (`reader`), what the records are (`dlq`).

use std::ops::ControlFlow;

use rdkafka::consumer::Consumer;
use rdkafka::{Message, Offset};

use super::message::owned;
use super::reader::{Next, timed_out};
use super::settings::KafkaSettings;
use super::tail::{PATIENCE, REQUEST, Tail, TailError, connect, partitions};
use crate::model::record::{OwnedRecord, Partition};

/// A partition and the offsets it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    pub partition: Partition,
    /// Its oldest offset.
    pub low: i64,
    /// One past its newest.
    pub high: i64,
}

/// The partitions of a topic. Blocks; run it on a thread that may.
pub fn extents(settings: &KafkaSettings, topic: &str) -> Result<Vec<Extent>, TailError> {
    let (reader, log) = connect(settings)?;
    let all = Tail { topic: topic.to_owned(), partition: None, last: 0 };
    let extent = |number| {
        let partition = Partition::new(topic, number);
        match reader.consumer().fetch_watermarks(topic, number, REQUEST) {
            Ok((low, high)) => Ok(Extent { partition, low, high }),
            Err(source) => Err(TailError::Read { partition, source }),
        }
    };
    partitions(&reader, &log, settings, &all)?.into_iter().map(extent).collect()
}

/// Reads these extents one after the other, until `each` breaks. Blocks.
pub fn read(
    settings: &KafkaSettings,
    extents: &[Extent],
    mut each: impl FnMut(OwnedRecord) -> ControlFlow<()>,
) -> Result<(), TailError> {
    let (mut reader, _log) = connect(settings)?;
    for Extent { partition, low, high } in extents.iter().filter(|it| it.low < it.high) {
        let failed = |source| TailError::Read { partition: partition.clone(), source };
        reader.assign(partition, Offset::Offset(*low)).map_err(failed)?;
        loop {
            let record = match reader.next(PATIENCE).map_err(failed)? {
                Next::Record(message) if message.offset() < *high => owned(&message, partition),
                Next::Record(_) | Next::End => break,
                Next::Late => return Err(failed(timed_out())),
            };
            let is_last = record.offset + 1 >= *high;
            if each(record).is_break() {
                return Ok(());
            }
            if is_last {
                break;
            }
        }
    }
    Ok(())
}
