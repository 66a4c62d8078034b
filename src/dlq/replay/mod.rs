//! Decides letter by letter what a replay does.
//!
//! # Invariants
//! - J1: of several letters of one refusal (a process may end between a letter and the commit), one
//!   is replayed.
//! - J2: what no route would take is not replayed.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::dlq::letter::{Letter, Terms};
use crate::dlq::marks::{Foreign, Marks, TooScattered};
use crate::dlq::select::Selection;
use crate::model::record::{OwnedRecord, Partition};
use crate::model::topic::TopicSelector;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    pub selection: Selection,
    pub ceiling: u32,
    pub to_route: Option<String>,
    /// Replay what was replayed before, too.
    pub again: bool,
    /// The routes, with the topics that they read.
    pub routes: Vec<(String, Vec<TopicSelector>)>,
}

/// What becomes of a letter.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not meant.
    Passed,
    Send(Box<OwnedRecord>),
    /// It was replayed before, or another letter of the same refusal was.
    Replayed,
    /// It cannot be replayed, and why.
    Left(String),
}

/// The letters of a topic, looked at in their order.
#[derive(Debug)]
pub struct Replays {
    order: Order,
    marks: BTreeMap<i32, Marks>,
    /// What was replayed before, by what tells one refusal from another.
    done: HashSet<u64>,
    /// The same of this replay.
    sent: HashSet<u64>,
}

impl Replays {
    pub fn new(order: Order) -> Self {
        Self { order, marks: BTreeMap::new(), done: HashSet::new(), sent: HashSet::new() }
    }

    /// Takes over what is known of a partition whose letters begin at `low`.
    pub fn resume(
        &mut self,
        partition: i32,
        low: i64,
        known: Option<(i64, &str)>,
    ) -> Result<(), Foreign> {
        let mut marks = match known {
            Some((next, text)) => Marks::read(next, text)?,
            None => Marks::new(low),
        };
        marks.forget_below(low);
        self.marks.insert(partition, marks);
        Ok(())
    }

    /// Whether a letter was replayed.
    pub fn has(&self, letter: &Letter) -> bool {
        let (Partition { number, .. }, offset) = letter.place();
        self.marks.get(number).is_some_and(|marks| marks.has(offset))
            || self.done.contains(&refusal_of(letter))
    }

    /// Notes a letter on the way, so that its twins are known.
    pub fn note(&mut self, letter: &Letter) {
        if self.has(letter) {
            self.done.insert(refusal_of(letter));
        }
    }

    /// Decides about a letter, in the order of their offsets.
    pub fn judge(&mut self, letter: &Letter) -> Verdict {
        self.note(letter);
        if !self.order.selection.means(letter) {
            return Verdict::Passed;
        }
        let refusal = refusal_of(letter);
        if self.sent.contains(&refusal) || (self.has(letter) && !self.order.again) {
            return Verdict::Replayed;
        }
        if let Some(reason) = self.unwanted(letter) {
            return Verdict::Left(reason);
        }
        let Order { ceiling, to_route, .. } = &self.order;
        let terms = Terms { ceiling: *ceiling, to_route: to_route.as_deref() };
        match letter.original(terms) {
            Ok(record) => {
                self.sent.insert(refusal);
                Verdict::Send(Box::new(record))
            }
            Err(error) => Verdict::Left(error.to_string()),
        }
    }

    /// Why no route would take it.
    fn unwanted(&self, letter: &Letter) -> Option<String> {
        let topic = letter.topic()?;
        let reads = |(_, topics): &&(String, Vec<TopicSelector>)| {
            topics.iter().any(|selector| selector.selects(&topic))
        };
        let routes: Vec<&str> =
            self.order.routes.iter().filter(reads).map(|(name, _)| name.as_str()).collect();
        if routes.is_empty() {
            return Some(format!("no route reads `{topic}`, so nobody would look at it"));
        }
        let only = letter.only_routes()?;
        let wanted = self.order.to_route.clone().map_or(only, |route| vec![route]);
        let unknown = wanted.iter().find(|route| !routes.contains(&route.as_str()))?;
        Some(format!(
            "route `{unknown}` does not read `{topic}`; name the one that takes its place with \
             --to-route"
        ))
    }

    /// Marks letters as replayed.
    ///
    /// # Errors
    /// There is no room for one of them; then none is marked.
    pub fn mark(&mut self, letters: &[Letter]) -> Result<(), TooScattered> {
        let before = self.marks.clone();
        for letter in letters {
            let (Partition { number, .. }, offset) = letter.place();
            if let Err(error) = self.marks.entry(*number).or_default().add(offset) {
                self.marks = before;
                return Err(error);
            }
        }
        Ok(())
    }

    /// What is to be kept of the partitions: number, offset and text.
    pub fn marks(&self) -> impl Iterator<Item = (i32, i64, String)> {
        self.marks.iter().map(|(number, marks)| (*number, marks.next(), marks.text()))
    }
}

/// Tells one refusal from another. The place alone does not: offsets begin again when a topic is made
/// anew.
fn refusal_of(letter: &Letter) -> u64 {
    let mut hasher = DefaultHasher::new();
    let place = letter.origin().map(|(partition, offset)| (partition.to_string(), offset));
    (place, letter.timestamp_ms(), letter.key(), letter.value()).hash(&mut hasher);
    letter.only_routes().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
