//! Which letters somebody means.

use super::letter::Letter;

/// All of these; an empty list or `None` means any.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub reasons: Vec<String>,
    pub routes: Vec<String>,
    /// Topics that the originals came from.
    pub topics: Vec<String>,
    /// When they were refused, in milliseconds since the Unix epoch: from, and before.
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
    /// Their places in the dead-letter topic.
    pub places: Vec<Place>,
}

/// A letter's partition and offset, as in `0@17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
}

impl Selection {
    /// Whether it means every letter there is.
    pub fn is_all(&self) -> bool {
        self.reasons.is_empty()
            && self.routes.is_empty()
            && self.topics.is_empty()
            && self.places.is_empty()
            && self.since_ms.is_none()
            && self.until_ms.is_none()
    }

    pub fn means(&self, letter: &Letter) -> bool {
        let any = |wanted: &[String], of: &[String]| {
            wanted.is_empty() || of.iter().any(|it| wanted.contains(it))
        };
        let (partition, offset) = letter.place();
        let place = Place { partition: partition.number, offset };
        // A letter that does not tell its time is of no time.
        let time = letter.failed_at_ms();
        let within = self.since_ms.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.until_ms.is_none_or(|until| time.is_some_and(|time| time < until));
        within
            && (self.places.is_empty() || self.places.contains(&place))
            && any(&self.reasons, &[letter.reason()])
            && any(&self.routes, &letter.routes())
            && any(&self.topics, &letter.topic().into_iter().collect::<Vec<_>>())
    }
}

// === impl Place ===

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('@').and_then(|(partition, offset)| {
            Some(Self { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        });
        parts.ok_or_else(|| {
            "write it as partition@offset, like 0@17; `ldsink dlq list` shows it".to_owned()
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}
