//! What Kafka holds: a record, borrowed for as long as the consumer lends it, or owned.
//!
//! The hot path only ever sees [`Record`]; [`OwnedRecord`] exists for the dead-letter path, which
//! outlives the consumer's buffer.

use std::fmt;
use std::sync::Arc;

/// A partition of a topic. Cheap to clone: the topic's name is shared.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    pub topic: Arc<str>,
    pub number: i32,
}

/// A record, borrowed from the consumer's fetch buffer.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the Unix epoch, as the producer or the broker stamped it.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a dyn Headers,
}

/// Gives access to a record's headers without copying them.
pub trait Headers {
    /// The number of headers, duplicates included.
    fn count(&self) -> usize;
    /// The header at `index`, in the order they were produced.
    fn at(&self, index: usize) -> Option<(&str, Option<&[u8]>)>;
}

/// A record that owns its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    pub partition: Partition,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A record without headers; also the empty list in tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHeaders;

// === impl Partition ===

impl Partition {
    pub fn new(topic: impl Into<Arc<str>>, number: i32) -> Self {
        Self { topic: topic.into(), number }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.number)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

// === impl Record ===

impl<'a> Record<'a> {
    /// The header at `index`, borrowed for as long as the record is.
    pub fn headers_at(&self, index: usize) -> Option<(&'a str, Option<&'a [u8]>)> {
        self.headers.at(index)
    }

    /// Copies the record out of the consumer's buffer.
    pub fn to_owned(&self) -> OwnedRecord {
        OwnedRecord {
            partition: Partition::new(self.topic, self.partition),
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.map(<[u8]>::to_vec),
            headers: (0..self.headers.count())
                .filter_map(|i| self.headers.at(i))
                .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }
}

impl fmt::Debug for Record<'_> {
    /// Shows where the record is and never what it holds: payloads do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}[{}]@{})", self.topic, self.partition, self.offset)
    }
}

// === impl OwnedRecord ===

impl OwnedRecord {
    /// Lends it like one from the consumer's buffer.
    pub fn lend(&self) -> Record<'_> {
        Record {
            topic: &self.partition.topic,
            partition: self.partition.number,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
        }
    }

    /// Bytes held in memory, without the few of the struct itself.
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(k, v)| k.len() + v.as_ref().map_or(0, Vec::len)).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

impl fmt::Debug for OwnedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedRecord({}@{})", self.partition, self.offset)
    }
}

// === impl NoHeaders ===

impl Headers for NoHeaders {
    fn count(&self) -> usize {
        0
    }

    fn at(&self, _index: usize) -> Option<(&str, Option<&[u8]>)> {
        None
    }
}

impl Headers for Vec<(String, Option<Vec<u8>>)> {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, index: usize) -> Option<(&str, Option<&[u8]>)> {
        self.get(index).map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}
