//! What the service is doing at the moment, for people: partitions, requests under way, recent dead
//! letters, the configuration in force, and what a person has asked for.
//!
//! # Invariants
//! - B1: nothing of a record but its place: keys come hashed, values never.
//! - B2: bounded: what is recent is a fixed number, the rest is what is in flight.
//!
//! Not here: how it is served (`admin`), figures (`metrics`), reasons not to be ready (`health`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::clock;

/// Dead letters that are remembered.
const LETTERS: usize = 50;
/// Requests under way that are shown, the oldest first.
const REQUESTS: usize = 100;

/// Shared by all parts. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether any route is paused, so that asking costs nothing when none is.
    any_paused: AtomicBool,
    paused: Mutex<BTreeSet<String>>,
    configuration: Mutex<Configuration>,
    partitions: Mutex<Vec<PartitionView>>,
    next_request: AtomicU64,
    requests: Mutex<BTreeMap<u64, RequestView>>,
    letters: Mutex<VecDeque<LetterView>>,
    reloaded: Mutex<Option<Reloaded>>,
}

/// The configuration in force.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Configuration {
    pub generation: u64,
    pub file: Option<String>,
    pub routes: Vec<RouteView>,
    /// Every key with its value; secrets are not among them.
    #[serde(skip)]
    pub effective: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RouteView {
    pub name: String,
    pub operation: &'static str,
    pub target: String,
    pub topics: Vec<String>,
}

/// How the last reload went.
#[derive(Debug, Clone, Serialize)]
pub struct Reloaded {
    pub at_ms: i64,
    pub ok: bool,
    pub message: String,
}

/// What a partition is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    Flows,
    /// What is in flight is at its limit.
    Full,
    /// One of its routes is halted.
    RouteHalted,
    PausedByPerson,
    WaitsForChecks,
    /// Batches of an earlier owner are cut again.
    Recovering,
    /// From the configuration before to the present one.
    ChangesOver,
}

#[derive(Debug, Clone, Serialize)]
pub struct PartitionView {
    pub topic: String,
    pub partition: i32,
    pub generation: u64,
    pub state: PartitionState,
    /// Taken and not forgotten yet.
    pub records: usize,
    pub bytes: usize,
    /// The oldest record that is not settled.
    pub oldest_offset: Option<i64>,
    /// For how long it has been the oldest.
    pub waits_seconds: u64,
}

/// A request that is being made until it succeeds.
#[derive(Debug, Clone, Serialize)]
pub struct RequestView {
    pub target: String,
    pub operation: &'static str,
    /// The segment or the metric, or the partition of metric events.
    pub lane: String,
    pub topic: String,
    pub partition: i32,
    pub oldest_offset: i64,
    pub records: usize,
    pub since_ms: i64,
    pub attempts: u32,
    pub last_error: Option<String>,
}

/// A dead letter that was written.
#[derive(Debug, Clone, Serialize)]
pub struct LetterView {
    pub at_ms: i64,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key_hash: Option<String>,
    pub reason: &'static str,
    pub stage: &'static str,
    pub route: Option<String>,
    pub status: Option<u16>,
    pub remedy: &'static str,
}

/// A request on the board; taken down with it.
#[derive(Debug)]
pub struct Ticket {
    board: Board,
    id: u64,
}

// === impl Board ===

impl Board {
    // --- what a person asks for ---

    /// Gives whether it was not paused before.
    pub fn pause(&self, route: &str) -> bool {
        self.change_paused(|paused| paused.insert(route.to_owned()))
    }

    /// Gives whether it was paused before.
    pub fn resume(&self, route: &str) -> bool {
        self.change_paused(|paused| paused.remove(route))
    }

    fn change_paused(&self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) -> bool {
        let mut paused = lock(&self.0.paused);
        let is_news = change(&mut paused);
        self.0.any_paused.store(!paused.is_empty(), Ordering::SeqCst);
        is_news
    }

    /// The routes that a person has paused.
    pub fn paused(&self) -> BTreeSet<String> {
        if self.0.any_paused.load(Ordering::SeqCst) {
            lock(&self.0.paused).clone()
        } else {
            BTreeSet::new()
        }
    }

    // --- the configuration ---

    pub fn set_configuration(&self, configuration: Configuration) {
        *lock(&self.0.configuration) = configuration;
    }

    pub fn configuration(&self) -> Configuration {
        lock(&self.0.configuration).clone()
    }

    pub fn note_reload(&self, ok: bool, message: String) {
        *lock(&self.0.reloaded) = Some(Reloaded { at_ms: clock::now_ms(), ok, message });
    }

    pub fn reloaded(&self) -> Option<Reloaded> {
        lock(&self.0.reloaded).clone()
    }

    // --- what is under way ---

    pub fn set_partitions(&self, partitions: Vec<PartitionView>) {
        *lock(&self.0.partitions) = partitions;
    }

    pub fn partitions(&self) -> Vec<PartitionView> {
        lock(&self.0.partitions).clone()
    }

    /// Puts a request on the board until the ticket is dropped.
    pub fn begin(&self, request: RequestView) -> Ticket {
        let id = self.0.next_request.fetch_add(1, Ordering::Relaxed);
        lock(&self.0.requests).insert(id, request);
        Ticket { board: self.clone(), id }
    }

    /// The requests under way, the oldest first, and how many there are.
    pub fn requests(&self) -> (Vec<RequestView>, usize) {
        let requests = lock(&self.0.requests);
        (requests.values().take(REQUESTS).cloned().collect(), requests.len())
    }

    pub fn note_letter(&self, letter: LetterView) {
        let mut letters = lock(&self.0.letters);
        letters.truncate(LETTERS - 1);
        letters.push_front(letter);
    }

    /// The last dead letters, the newest first.
    pub fn letters(&self) -> Vec<LetterView> {
        lock(&self.0.letters).iter().cloned().collect()
    }
}

// === impl Ticket ===

impl Ticket {
    /// An attempt has failed.
    pub fn failed(&self, error: &str) {
        if let Some(request) = lock(&self.board.0.requests).get_mut(&self.id) {
            request.attempts += 1;
            request.last_error = Some(error.to_owned());
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.board.0.requests).remove(&self.id);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(offset: i64) -> LetterView {
        LetterView {
            at_ms: 0,
            topic: "t".into(),
            partition: 0,
            offset,
            key_hash: None,
            reason: "missing_field",
            stage: "route",
            route: None,
            status: None,
            remedy: "",
        }
    }

    #[test]
    fn the_newest_letters_are_kept() {
        let board = Board::default();
        (0..80).for_each(|offset| board.note_letter(letter(offset)));
        let offsets: Vec<_> = board.letters().iter().map(|letter| letter.offset).collect();
        assert_eq!(offsets, (30..80).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_request_is_shown_as_long_as_it_is_made() {
        let board = Board::default();
        let request = RequestView {
            target: "production".into(),
            operation: "metric_event",
            lane: "t[0]".into(),
            topic: "t".into(),
            partition: 0,
            oldest_offset: 7,
            records: 3,
            since_ms: 0,
            attempts: 0,
            last_error: None,
        };
        let ticket = board.begin(request);
        ticket.failed("503");
        ticket.failed("no answer in time");
        let (shown, all) = board.requests();
        assert_eq!((all, shown[0].attempts), (1, 2));
        assert_eq!(shown[0].last_error.as_deref(), Some("no answer in time"));
        drop(ticket);
        assert_eq!(board.requests().1, 0);
    }

    #[test]
    fn a_pause_is_news_once() {
        let board = Board::default();
        assert!(board.paused().is_empty());
        assert!(board.pause("checkout") && !board.pause("checkout"));
        assert!(board.paused().contains("checkout"));
        assert!(board.resume("checkout") && !board.resume("checkout"));
        assert!(board.paused().is_empty());
    }
}
