//! Accounts for every produced record: which identity must count once, which must be a dead letter,
//! which must not be seen at all.
//!
//! The oracle knows what was produced and looks at both ends, the sandbox's journal and the
//! dead-letter topic; it never asks the service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};
use std::ops::AddAssign;
use std::time::Duration;

use super::kafka::{KafkaCluster, StoredRecord};
use super::launchdarkly::LaunchDarkly;
use super::wait::eventually;

/// How produced and counted identities compare.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) lost: Vec<String>,
    pub(crate) counted_twice: Vec<String>,
    pub(crate) unexpected: Vec<String>,
}

/// What must become of the produced records.
#[derive(Debug, Default, Clone)]
pub(crate) struct Expected {
    /// Identities that must count exactly once.
    pub(crate) delivered: BTreeSet<String>,
    /// `topic[partition]@offset` of dead letters, with their reasons.
    pub(crate) dead: BTreeMap<(i32, i64), &'static str>,
}

impl Expected {
    /// Waits until every expected event has arrived, then demands that nothing is missing, nothing
    /// counts twice, and nothing arrived that should not have.
    pub(crate) async fn hold(&self, within: Duration, sandbox: &LaunchDarkly) {
        let wanted = self.delivered.len() as u64;
        eventually(within, &format!("{wanted} events to count"), async || {
            let counted = sandbox.count("events_counted").await;
            if counted >= wanted { Ok(()) } else { Err(format!("{counted} of {wanted} count")) }
        })
        .await;
        self.account(sandbox).await;
    }

    /// The demand without the wait.
    pub(crate) async fn account(&self, sandbox: &LaunchDarkly) {
        let account = Account::of(&self.delivered, &sandbox.counted().await);
        assert!(account.is_clean(), "{account}");
        assert_eq!(sandbox.count("payload_id_conflicts").await, 0, "an ID was used for two bodies");
        assert_eq!(sandbox.count("taken_without_payload_id").await, 0);
    }

    /// Waits until the dead-letter topic holds what it must, once each, and gives it.
    pub(crate) async fn dead_letters(
        &self,
        within: Duration,
        kafka: &KafkaCluster,
        topic: &str,
    ) -> Vec<StoredRecord> {
        let wanted = self.dead.len();
        let letters = eventually(within, &format!("{wanted} dead letters"), async || {
            let letters = kafka.read_all(topic).await;
            if letters.len() >= wanted { Ok(letters) } else { Err(format!("{}", letters.len())) }
        })
        .await;
        let found: Vec<((i32, i64), String)> = letters
            .iter()
            .map(|letter| {
                let number = |name| header(letter, name).parse::<i64>().unwrap();
                let partition = i32::try_from(number("ldsink.partition")).unwrap();
                ((partition, number("ldsink.offset")), header(letter, "ldsink.reason"))
            })
            .collect();
        let unique: BTreeMap<_, _> = found.iter().cloned().collect();
        assert_eq!(unique.len(), found.len(), "a record was dead-lettered twice");
        let expected: BTreeMap<_, _> =
            self.dead.iter().map(|(place, reason)| (*place, (*reason).to_owned())).collect();
        assert_eq!(unique, expected);
        letters
    }
}

// === impl Account ===

impl Account {
    pub(crate) fn of(produced: &BTreeSet<String>, counted: &BTreeMap<String, u64>) -> Self {
        let missing = |id: &&String| counted.get(*id).is_none_or(|times| *times == 0);
        let twice = counted.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id);
        Self {
            lost: produced.iter().filter(missing).cloned().collect(),
            counted_twice: twice.cloned().collect(),
            unexpected: counted.keys().filter(|id| !produced.contains(*id)).cloned().collect(),
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.counted_twice.extend(other.counted_twice);
        self.unexpected.extend(other.unexpected);
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { lost, counted_twice, unexpected } = self;
        let parts = [("lost", lost), ("counted twice", counted_twice), ("unexpected", unexpected)];
        for (what, ids) in parts {
            write!(f, "{what} {} {:?} ", ids.len(), ids.iter().take(5).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

/// A header's text.
pub(crate) fn header(record: &StoredRecord, name: &str) -> String {
    let value = record.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    match value {
        Some(Some(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
        _ => panic!("no header {name} in {:?}", record.headers),
    }
}
