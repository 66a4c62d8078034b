//! Reads one record again by its offset.
//!
//! By a reader of its own, so the group's own consumer is not disturbed.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset};
use tokio::sync::Mutex;

use crate::kafka::connection::KafkaLog;
use crate::kafka::message::owned;
use crate::kafka::reader::{Next, Reader, is_out_of_range, timed_out};
use crate::kafka::settings::KafkaSettings;
use crate::model::record::{OwnedRecord, Partition};

/// After this an attempt counts as failed and is made again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches records, one at a time.
#[derive(Debug)]
pub(super) struct Fetcher {
    settings: KafkaSettings,
    /// Kept from one to the next: a new one takes as long as dozens of records.
    reader: Mutex<Option<Reader>>,
}

#[derive(Debug)]
pub(super) enum FetchError {
    /// The partition no longer holds the offset.
    Gone,
    Kafka(KafkaError),
}

impl Fetcher {
    pub(super) fn new(settings: KafkaSettings) -> Self {
        Self { settings, reader: Mutex::new(None) }
    }

    /// Reads the record at `offset`.
    pub(super) async fn fetch(
        &self,
        partition: Partition,
        offset: i64,
    ) -> Result<OwnedRecord, FetchError> {
        // One at a time: dead letters are rare, connections are not free.
        let mut kept = self.reader.lock().await;
        let (reader, settings) = (kept.take(), self.settings.clone());
        let reading = move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => open(&settings)?,
            };
            let record = read(&mut reader, &partition, offset)?;
            // After an error the next one begins anew.
            reader.rest().map_err(FetchError::Kafka)?;
            Ok((reader, record))
        };
        let fetched = tokio::task::spawn_blocking(reading).await;
        let (reader, record) = fetched.unwrap_or(Err(FetchError::Kafka(KafkaError::Canceled)))?;
        *kept = Some(reader);
        Ok(record)
    }
}

fn open(settings: &KafkaSettings) -> Result<Reader, FetchError> {
    let properties = [
        // An offset that is gone must be an error, not a jump.
        ("auto.offset.reset", "error"),
        ("fetch.queue.backoff.ms", "20"),
        ("queued.min.messages", "1"),
    ];
    Reader::new(settings, KafkaLog::default(), &properties).map_err(FetchError::Kafka)
}

fn read(
    reader: &mut Reader,
    partition: &Partition,
    offset: i64,
) -> Result<OwnedRecord, FetchError> {
    reader.assign(partition, Offset::Offset(offset)).map_err(FetchError::Kafka)?;
    match reader.next(PATIENCE) {
        Ok(Next::Record(message)) if message.offset() == offset => Ok(owned(&message, partition)),
        // Past it without having met it: compacted away.
        Ok(Next::Record(_) | Next::End) => Err(FetchError::Gone),
        Err(error) if is_out_of_range(&error) => Err(FetchError::Gone),
        Err(error) => Err(FetchError::Kafka(error)),
        Ok(Next::Late) => Err(FetchError::Kafka(timed_out())),
    }
}
