//! What a dead letter looks like: the original record and headers that say what happened to it.
//!
//! The `__connect.errors.*` headers are those that Kafka Connect writes, so tools made for its
//! dead letters can read ours.

use rdkafka::message::{Header, OwnedHeaders};

use crate::model::letter;
use crate::model::outcome::{Refusal, Stage};
use crate::model::progress::Slot;
use crate::model::record::{OwnedRecord, Partition};
use crate::model::routes::{RouteSet, TopicMapping};

/// The longest detail kept in a header, in characters.
const DETAIL_CHARS: usize = 1_024;
/// The most kept of LaunchDarkly's answer, in bytes.
const ANSWER_BYTES: usize = 512;
/// Below this a record is not shortened any further.
const SHORTEST_BYTES: usize = 1_024;

/// A record with its reasons.
#[derive(Debug)]
pub(super) struct Letter {
    record: OwnedRecord,
    reasons: Vec<(&'static str, String)>,
    original_bytes: Option<usize>,
}

/// What a letter tells besides its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) refusal: &'a Refusal,
    /// The routes that refuse it.
    pub(super) routes: RouteSet,
    /// What its topic's records are mapped by.
    pub(super) mapping: Option<&'a TopicMapping>,
    pub(super) now_ms: i64,
}

impl Letter {
    pub(super) fn new(mut record: OwnedRecord, told: Circumstances<'_>) -> Self {
        let Circumstances { refusal, now_ms, .. } = told;
        let replayed = Replayed::take(&mut record);
        let detail: String = refusal.detail.chars().take(DETAIL_CHARS).collect();
        let Partition { topic, number } = &record.partition;
        let (number, offset) = (number.to_string(), record.offset.to_string());
        let failed_at = time(now_ms);
        let mut reasons = vec![
            (letter::REASON, refusal.reason.as_str().to_owned()),
            (letter::DETAIL, detail.clone()),
            (letter::REMEDY, refusal.reason.remedy().to_owned()),
            (letter::STAGE, refusal.stage.as_str().to_owned()),
            (letter::TOPIC, topic.to_string()),
            (letter::PARTITION, number.clone()),
            (letter::OFFSET, offset.clone()),
            (letter::ATTEMPTS, refusal.attempts.to_string()),
            (letter::REPLAY_COUNT, replayed.count.unwrap_or_else(|| "0".to_owned())),
            (letter::FIRST_FAILED_AT, replayed.first_failed_at.unwrap_or(failed_at.clone())),
            (letter::FAILED_AT, failed_at),
            ("__connect.errors.topic", topic.to_string()),
            ("__connect.errors.partition", number),
            ("__connect.errors.offset", offset),
            ("__connect.errors.stage", refusal.stage.as_str().to_owned()),
            ("__connect.errors.exception.class.name", refusal.reason.as_str().to_owned()),
            ("__connect.errors.exception.message", detail),
        ];
        let route = refusal.route.clone().or_else(|| names(told.routes, told.mapping));
        let mapping = told.mapping.map(|mapping| mapping.fingerprint.to_string());
        let only_routes = match refusal.stage {
            // Other routes of its topic may have taken it.
            Stage::Deliver => partial(told.routes, told.mapping),
            // What is refused before anything is sent is sent by none.
            Stage::Decode | Stage::Route | Stage::Check => None,
        };
        for (name, value) in [
            (letter::ROUTE, route),
            (letter::STATUS, refusal.status.map(|status| status.to_string())),
            (letter::ANSWER, refusal.answer.as_deref().map(beginning)),
            (letter::MAPPING, mapping),
            (letter::ONLY_ROUTES, only_routes.or(replayed.only_routes)),
        ] {
            reasons.extend(value.map(|value| (name, value)));
        }
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
            headers = headers.insert(Header { key: letter::SHORTENED_FROM, value: Some(&bytes) });
        }
        headers
    }

    /// Halves the largest part of the record, for a topic that takes less than the source topic did.
    /// Gives whether there was anything left to cut.
    pub(super) fn shorten(&mut self) -> bool {
        let bytes = self.record.size();
        let OwnedRecord { key, value, headers, .. } = &mut self.record;
        let own = |(name, value): &(String, Option<Vec<u8>>)| {
            name.len() + value.as_ref().map_or(0, Vec::len)
        };
        let length = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let sizes = [length(value), length(key), headers.iter().map(own).sum()];
        let largest = sizes.into_iter().max().unwrap_or(0);
        if largest <= SHORTEST_BYTES {
            return false;
        }
        self.original_bytes.get_or_insert(bytes);
        match sizes {
            [of_value, ..] if of_value == largest => cut_to(value, largest / 2),
            [_, of_key, _] if of_key == largest => cut_to(key, largest / 2),
            // Half of a header would look like a whole one.
            _ => {
                let longest = headers.iter().enumerate().max_by_key(|(_, header)| own(header));
                let longest = longest.map(|(at, _)| at);
                drop(longest.map(|at| headers.remove(at)));
            }
        }
        true
    }
}

fn cut_to(part: &mut Option<Vec<u8>>, length: usize) {
    if let Some(part) = part {
        part.truncate(length);
    }
}

/// What a replayed record brings along from its last dead letter.
#[derive(Default)]
struct Replayed {
    count: Option<String>,
    first_failed_at: Option<String>,
    only_routes: Option<String>,
}

impl Replayed {
    /// Takes it out of the record's own headers: the new letter has its own.
    fn take(record: &mut OwnedRecord) -> Self {
        let mut replayed = Self::default();
        record.headers.retain(|(name, value)| {
            let place = match name.as_str() {
                letter::REPLAY_COUNT => &mut replayed.count,
                letter::FIRST_FAILED_AT => &mut replayed.first_failed_at,
                letter::ONLY_ROUTES => &mut replayed.only_routes,
                _ => return true,
            };
            *place = value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
            false
        });
        replayed
    }
}

fn names(routes: RouteSet, mapping: Option<&TopicMapping>) -> Option<String> {
    let names: Vec<&str> = routes.pick(&mapping?.routes).map(|name| &**name).collect();
    (!names.is_empty()).then(|| names.join(&letter::SEPARATOR.to_string()))
}

/// The names of some routes, unless they are all that their topic has.
fn partial(routes: RouteSet, mapping: Option<&TopicMapping>) -> Option<String> {
    let all = &mapping?.routes;
    (routes.pick(all).count() < all.len()).then(|| names(routes, mapping)).flatten()
}

/// As many whole characters as fit.
fn beginning(text: &str) -> String {
    let fits =
        text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|n| *n <= ANSWER_BYTES);
    text.get(..fits.last().unwrap_or(0)).unwrap_or_default().to_owned()
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
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
            letter::SUBSTITUTE.to_owned(),
            Some(b"the record was gone from Kafka; this is what was sent to LaunchDarkly".to_vec()),
        )],
    }
}

#[cfg(test)]
mod tests;
