//! Copies a record out of the Kafka client's buffer.

use rdkafka::Message;
use rdkafka::message::Headers as _;

use crate::model::record::{OwnedRecord, Partition};

/// Makes a message a record of ours. `partition` is where it was read.
pub fn owned(message: &impl Message, partition: &Partition) -> OwnedRecord {
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    });
    OwnedRecord {
        partition: partition.clone(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
