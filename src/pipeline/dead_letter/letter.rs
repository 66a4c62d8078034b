//! What a dead letter looks like: the original record and headers that say what happened to it.
//!
//! The `__connect.errors.*` headers are those that Kafka Connect writes, so tools made for its
//! dead letters can read ours.

use rdkafka::message::{Header, OwnedHeaders};

use crate::model::outcome::Refusal;
use crate::model::progress::Slot;
use crate::model::record::{OwnedRecord, Partition};

/// The longest detail kept in a header, in characters.
const DETAIL_CHARS: usize = 1_024;
/// Below this a record is not shortened any further.
const SHORTEST_BYTES: usize = 1_024;

/// A record with its reasons.
#[derive(Debug)]
pub(super) struct Letter {
    record: OwnedRecord,
    reasons: Vec<(&'static str, String)>,
    original_bytes: Option<usize>,
}

impl Letter {
    pub(super) fn new(record: OwnedRecord, refusal: &Refusal) -> Self {
        let detail: String = refusal.detail.chars().take(DETAIL_CHARS).collect();
        let Partition { topic, number } = &record.partition;
        let (number, offset) = (number.to_string(), record.offset.to_string());
        let mut reasons = vec![
            ("ldsink.reason", refusal.reason.as_str().to_owned()),
            ("ldsink.detail", detail.clone()),
            ("ldsink.remedy", refusal.reason.remedy().to_owned()),
            ("ldsink.stage", refusal.stage.as_str().to_owned()),
            ("ldsink.topic", topic.to_string()),
            ("ldsink.partition", number.clone()),
            ("ldsink.offset", offset.clone()),
            ("ldsink.attempts", refusal.attempts.to_string()),
            ("__connect.errors.topic", topic.to_string()),
            ("__connect.errors.partition", number),
            ("__connect.errors.offset", offset),
            ("__connect.errors.stage", refusal.stage.as_str().to_owned()),
            ("__connect.errors.exception.class.name", refusal.reason.as_str().to_owned()),
            ("__connect.errors.exception.message", detail),
        ];
        reasons.extend(refusal.route.clone().map(|route| ("ldsink.route", route)));
        reasons.extend(refusal.status.map(|status| ("ldsink.status", status.to_string())));
        Self { record, reasons, original_bytes: None }
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        self.record.key.as_deref()
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        self.record.value.as_deref()
    }

    pub(super) fn timestamp_ms(&self) -> Option<i64> {
        self.record.timestamp_ms
    }

    /// The record's own headers first, then ours.
    pub(super) fn headers(&self) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(self.record.headers.len() + 20);
        for (name, value) in &self.record.headers {
            headers = headers.insert(Header { key: name, value: value.as_ref() });
        }
        for (name, value) in &self.reasons {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        if let Some(bytes) = self.original_bytes {
            let bytes = bytes.to_string();
            headers =
                headers.insert(Header { key: "ldsink.shortened_from_bytes", value: Some(&bytes) });
        }
        headers
    }

    /// Halves the value, for a topic that takes less than the source topic did. Gives whether there
    /// was anything left to cut.
    pub(super) fn shorten(&mut self) -> bool {
        let Some(value) = self.record.value.as_mut().filter(|v| v.len() > SHORTEST_BYTES) else {
            return false;
        };
        self.original_bytes.get_or_insert(value.len());
        value.truncate(value.len() / 2);
        true
    }
}

/// Stands in for a record that retention removed before it could be fetched again.
pub(super) fn substitute(slot: &Slot, sent: &[u8]) -> OwnedRecord {
    OwnedRecord {
        partition: slot.partition.clone(),
        offset: slot.offset,
        timestamp_ms: None,
        key: None,
        value: Some(sent.to_vec()),
        headers: vec![(
            "ldsink.substitute".to_owned(),
            Some(b"the record was gone from Kafka; this is what was sent to LaunchDarkly".to_vec()),
        )],
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;
    use crate::model::outcome::{RefusalReason, Stage};

    fn letter(value: Vec<u8>) -> Letter {
        let record = OwnedRecord {
            partition: Partition::new("orders", 3),
            offset: 41,
            timestamp_ms: Some(5),
            key: Some(b"k".to_vec()),
            value: Some(value),
            headers: vec![("trace".to_owned(), Some(b"t-1".to_vec()))],
        };
        let refusal = Refusal {
            reason: RefusalReason::MissingField,
            stage: Stage::Route,
            route: Some("checkout".to_owned()),
            detail: "metric_event.value: $.row.total is absent or null".to_owned(),
            status: None,
            attempts: 0,
        };
        Letter::new(record, &refusal)
    }

    #[test]
    fn the_reason_and_the_place_are_in_the_headers_beside_the_record_s_own() {
        let headers = letter(b"{}".to_vec()).headers();
        let text = |name: &str| {
            headers
                .iter()
                .find(|h| h.key == name)
                .and_then(|h| h.value)
                .map(|v| String::from_utf8_lossy(v).into_owned())
        };
        for (name, value) in [
            ("trace", "t-1"),
            ("ldsink.reason", "missing_field"),
            ("ldsink.route", "checkout"),
            ("ldsink.topic", "orders"),
            ("ldsink.partition", "3"),
            ("ldsink.offset", "41"),
            ("__connect.errors.partition", "3"),
            ("__connect.errors.offset", "41"),
        ] {
            assert_eq!(text(name).as_deref(), Some(value), "{name}");
        }
    }

    #[test]
    fn shortening_ends_and_says_how_long_the_value_was() {
        let mut letter = letter(vec![b'x'; 10_000]);
        let mut times = 0;
        while letter.shorten() {
            times += 1;
        }
        assert_eq!(times, 4);
        assert!(letter.value().unwrap().len() <= SHORTEST_BYTES);
        let headers = letter.headers();
        let header = headers.iter().find(|h| h.key == "ldsink.shortened_from_bytes").unwrap();
        assert_eq!(header.value, Some(&b"10000"[..]));
    }
}
