//! A dead letter as it was read: what it says, and the record that it is about.

use crate::model::letter;
use crate::model::outcome::RefusalReason;
use crate::model::record::{OwnedRecord, Partition};

/// The headers that a letter has for other tools.
const FOREIGN: &str = "__connect.errors.";

/// A dead letter.
#[derive(Debug)]
pub struct Letter {
    record: OwnedRecord,
    /// Where the headers of the letter begin, behind the record's own.
    ours: usize,
}

/// A record that is no letter of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no dead letter of ldsink: it has no header `ldsink.reason`")]
pub struct NoLetter;

/// Why a letter cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreplayable {
    #[error("it was cut from {0} bytes to fit into the topic; replay the original by hand")]
    Shortened(String),
    #[error(
        "the original was gone from Kafka when it was refused; its value is what was sent to \
         LaunchDarkly"
    )]
    Substitute,
    #[error("its headers do not tell where it came from")]
    NoOrigin,
    #[error("it was replayed {count} times already; mend what refuses it, or raise --max-replays")]
    TooOften { count: u32 },
}

/// What a replay gives a record.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// How often a record may be replayed.
    pub ceiling: u32,
    /// The route to replay it for, if the letter names some, instead of these.
    pub to_route: Option<&'a str>,
}

impl Letter {
    pub fn of(record: OwnedRecord) -> Result<Self, NoLetter> {
        // The record's own come first, and may be those of another letter.
        let last = record.headers.iter().rposition(|(name, _)| name == letter::REASON);
        let ours = last.ok_or(NoLetter)?;
        Ok(Self { record, ours })
    }

    /// Its own place, in the dead-letter topic.
    pub fn place(&self) -> (&Partition, i64) {
        (&self.record.partition, self.record.offset)
    }

    pub fn key(&self) -> Option<&[u8]> {
        self.record.key.as_deref()
    }

    pub fn value(&self) -> Option<&[u8]> {
        self.record.value.as_deref()
    }

    pub fn timestamp_ms(&self) -> Option<i64> {
        self.record.timestamp_ms
    }

    /// The headers of the original record.
    pub fn own_headers(&self) -> &[(String, Option<Vec<u8>>)] {
        self.record.headers.get(..self.ours).unwrap_or_default()
    }

    /// The headers that say what happened to it, without those that repeat it for other tools.
    pub fn told(&self) -> impl Iterator<Item = (&str, String)> {
        let ours = self.record.headers.get(self.ours..).unwrap_or_default();
        ours.iter().filter(|(name, _)| !name.starts_with(FOREIGN)).map(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            (name.as_str(), String::from_utf8_lossy(value).into_owned())
        })
    }

    /// One of those headers.
    pub fn get(&self, wanted: &str) -> Option<String> {
        self.told().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }

    pub fn reason(&self) -> String {
        self.get(letter::REASON).unwrap_or_default()
    }

    /// What to do about it. Letters of other versions may have a reason that this one does not know.
    pub fn remedy(&self) -> Option<String> {
        let reason = self.reason();
        let known = RefusalReason::ALL.into_iter().find(|known| known.as_str() == reason);
        known.map(|known| known.remedy().to_owned()).or_else(|| self.get(letter::REMEDY))
    }

    /// The routes that refused it.
    pub fn routes(&self) -> Vec<String> {
        names(self.get(letter::ROUTE))
    }

    /// The routes that a replay is for; `None` means all of its topic.
    pub fn only_routes(&self) -> Option<Vec<String>> {
        self.get(letter::ONLY_ROUTES).map(|routes| names(Some(routes)))
    }

    pub fn topic(&self) -> Option<String> {
        self.get(letter::TOPIC)
    }

    /// Where the original stood.
    pub fn origin(&self) -> Option<(Partition, i64)> {
        let number = self.get(letter::PARTITION)?.parse().ok()?;
        let offset = self.get(letter::OFFSET)?.parse().ok()?;
        Some((Partition::new(self.topic()?, number), offset))
    }

    /// When it was refused, in milliseconds since the Unix epoch.
    pub fn failed_at_ms(&self) -> Option<i64> {
        let time: jiff::Timestamp = self.get(letter::FAILED_AT)?.parse().ok()?;
        Some(time.as_millisecond())
    }

    /// How often it was replayed.
    pub fn replays(&self) -> u32 {
        self.get(letter::REPLAY_COUNT).and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// The record to be written to where it came from (D3).
    ///
    /// # Errors
    /// Why it must not.
    pub fn original(&self, terms: Terms<'_>) -> Result<OwnedRecord, Unreplayable> {
        if let Some(bytes) = self.get(letter::SHORTENED_FROM) {
            return Err(Unreplayable::Shortened(bytes));
        }
        if self.own_headers().iter().any(|(name, _)| name == letter::SUBSTITUTE) {
            return Err(Unreplayable::Substitute);
        }
        let count = self.replays();
        if count >= terms.ceiling {
            return Err(Unreplayable::TooOften { count });
        }
        let (partition, offset) = self.origin().ok_or(Unreplayable::NoOrigin)?;
        let is_own = |(name, _): &&(String, _)| !letter::OF_REPLAYS.contains(&name.as_str());
        let mut headers: Vec<_> = self.own_headers().iter().filter(is_own).cloned().collect();
        // A letter that is for all routes stays so.
        let only = self.get(letter::ONLY_ROUTES);
        let only = only.map(|only| terms.to_route.map_or(only, str::to_owned));
        for (name, value) in [
            (letter::REPLAY_COUNT, Some((count + 1).to_string())),
            (letter::FIRST_FAILED_AT, self.get(letter::FIRST_FAILED_AT)),
            (letter::ONLY_ROUTES, only),
        ] {
            headers.extend(value.map(|value| (name.to_owned(), Some(value.into_bytes()))));
        }
        let OwnedRecord { timestamp_ms, key, value, .. } = self.record.clone();
        Ok(OwnedRecord { partition, offset, timestamp_ms, key, value, headers })
    }
}

fn names(header: Option<String>) -> Vec<String> {
    let header = header.unwrap_or_default();
    let names = header.split(letter::SEPARATOR).map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}
