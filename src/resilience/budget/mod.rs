//! What may be sent to one server with one token: the user's quota, what the server says is left, and
//! how many requests it can take at once, shared by all lanes that send there.
//!
//! A lane asks for leave, sends, and says what came back:
//!
//! ```text
//! admit ─▶ whose turn is it (fair) ─▶ hint · outage · concurrency · windows or guess · quota ─▶ Permit
//!                                                ▲                                            │
//!                                                └────────────── answered ◀── request ◀───────┘
//! ```
//!
//! # Invariants
//! - P6a: until a hint has passed nobody that it concerns is let through; a shorter one never shortens
//!   a longer one, and none is ever cut.
//! - P6b: of every limit that the server tells, the reserve is left to others.
//! - P6c: whoever waits is let through in the order of `fair`, as far as what it asks for is to be had.
//!
//! Not here: what an answer means (`deliver`).

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use self::state::{Pick, State, Waiter};
use super::fair::{LaneNumber, Ticket};
use super::outage::{Condition, Entry, Outage, OutageSettings, Sign, Turn};
use super::quota::RequestQuota;
use super::window::{Level, Told};

/// What the user decides of a budget.
#[derive(Debug, Clone, Copy)]
pub struct BudgetSettings {
    /// The share of every window that is left to the account's other users, from 0 to below 1.
    pub reserve: f64,
    /// The most requests under way at once.
    pub concurrency: usize,
    /// The first pause after a refusal without a hint.
    pub pause: Duration,
}

/// What may be sent to one server with one token.
#[derive(Debug)]
pub struct Budget {
    quota: RequestQuota,
    server: Arc<Server>,
    state: Mutex<State>,
}

/// A server, for all tokens.
#[derive(Debug)]
pub struct Server {
    outage: Mutex<Outage>,
    changed: Notify,
}

/// What a request is for: requests for one endpoint share a limit.
pub type Endpoint = &'static str;

/// What came back, as far as it matters here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer {
    pub verdict: Verdict,
    /// The limits of the account, of the endpoint and of the token.
    pub account: Told,
    pub endpoint: Told,
    pub token: Told,
    /// How long the server asked us to wait.
    pub hint: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It was dealt with, whatever became of it.
    #[default]
    Answered,
    /// There were too many requests.
    Throttled,
    /// There was no answer, or the server could not, this time.
    Failed,
}

/// Why a request had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The server asked for a pause.
    Hint,
    /// What is left of a limit, told or guessed.
    Limit,
    Quota,
    Concurrency,
    Outage,
    /// It was another lane's turn.
    Turn,
}

/// The right to send one request. Dropped without an answer, it counts as one that has none.
#[derive(Debug)]
pub struct Permit<'b> {
    budget: &'b Budget,
    endpoint: Endpoint,
    /// `None` once it is answered.
    entry: Option<Entry>,
    sent: Instant,
    /// How long it was waited for, and why, in the order of the waits.
    pub waits: Vec<(Cause, Duration)>,
}

/// Where a budget stands, for metrics.
#[derive(Debug, Clone)]
pub struct Status {
    /// By the limit's name: `account`, `token`, or the endpoint's.
    pub levels: Vec<(&'static str, Level)>,
    /// How many requests may be under way at once.
    pub concurrency: u32,
    pub outage: Condition,
    /// The latest hint that has not passed.
    pub parked_until: Option<Instant>,
}

// === impl Server ===

impl Server {
    pub fn new(settings: OutageSettings) -> Self {
        Self { outage: Mutex::new(Outage::new(settings)), changed: Notify::new() }
    }

    pub fn condition(&self) -> Condition {
        self.outage().condition()
    }

    /// Looks whether anybody asks still about an outage.
    pub fn look(&self) -> Option<Turn> {
        let turn = self.outage().look(Instant::now());
        if turn.is_some() {
            self.changed.notify_waiters();
        }
        turn
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Budget ===

impl Budget {
    pub fn new(settings: BudgetSettings, quota: RequestQuota, server: Arc<Server>) -> Self {
        let state = State::new(settings, Instant::now());
        Self { quota, server, state: Mutex::new(state) }
    }

    /// Adds a lane. One of twice the weight has twice as many turns when lanes wait for each other.
    pub fn lane(&self, weight: u32) -> LaneNumber {
        self.state().queue.add(weight)
    }

    /// Waits until one more request may be sent. Cancel-safe: an abandoned wait uses nothing up.
    pub async fn admit(&self, lane: LaneNumber, endpoint: Endpoint) -> Permit<'_> {
        let wake = Arc::new(Notify::new());
        let waiter = Waiter { endpoint, wake: Arc::clone(&wake) };
        let place = Place { budget: self, ticket: self.state().queue.join(lane, waiter) };
        let mut waits: Vec<(Cause, Duration)> = Vec::new();
        loop {
            let server = self.server.changed.notified();
            tokio::pin!(server);
            // Before looking, so that no change in between is missed.
            server.as_mut().enable();
            let began = Instant::now();
            let (until, cause) = match self.decide(place.ticket, endpoint, began) {
                Ok(entry) => {
                    let entry = Some(entry);
                    return Permit { budget: self, endpoint, entry, sent: began, waits };
                }
                Err(wait) => wait,
            };
            let timer = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wake.notified() => {}
                () = server => {}
                () = timer => {}
            }
            let waited = began.elapsed();
            match waits.last_mut().filter(|(last, _)| *last == cause) {
                Some((_, so_far)) => *so_far += waited,
                None => waits.push((cause, waited)),
            }
        }
    }

    /// Whether the server is down, so that waiting may take long.
    pub fn is_down(&self) -> bool {
        self.server.condition() == Condition::Down
    }

    /// Lets nobody through before this, as another budget of the same server was asked.
    pub fn park(&self, until: Instant) {
        self.state().park(until);
    }

    pub fn status(&self) -> Status {
        let (outage, state) = (self.server.condition(), self.state());
        Status {
            levels: state.levels(),
            concurrency: state.concurrency_bound(),
            outage,
            parked_until: state.parked_until(Instant::now()),
        }
    }

    /// Lets one go if it is its turn. Otherwise tells until when it watches for all, and what it waits
    /// for.
    fn decide(
        &self,
        ticket: Ticket,
        endpoint: Endpoint,
        now: Instant,
    ) -> Result<Entry, (Option<Instant>, Cause)> {
        let mut state = self.state();
        let mut outage = self.server.outage();
        state.watch = state.watch.filter(|(watcher, _)| *watcher != ticket);
        let pick = state.pick(&outage, now);
        let (until, cause) = match pick {
            Pick::Go(next) if next == ticket => match self.quota.take() {
                Ok(()) => {
                    state.sent(ticket, endpoint, now);
                    let entry = outage.enter();
                    state.wake(state.pick(&outage, now));
                    return Ok(entry);
                }
                Err(wait) => (Some(now + wait), Cause::Quota),
            },
            Pick::Go(_) => {
                state.wake(pick);
                return Err((None, state.cause(endpoint, &outage, now)));
            }
            Pick::Wait(until) => (until, state.cause(endpoint, &outage, now)),
        };
        let watched = state.watch.is_some_and(|(_, at)| until.is_none_or(|until| at <= until));
        let until = until.filter(|_| !watched);
        state.watch = until.map(|until| (ticket, until)).or(state.watch);
        Err((until, cause))
    }

    fn answered(
        &self,
        endpoint: Endpoint,
        entry: Entry,
        sent: Instant,
        answer: Option<&Answer>,
    ) -> Option<Turn> {
        let now = Instant::now();
        let mut state = self.state();
        state.answered(endpoint, sent, answer, now);
        let sign = match answer {
            None => Sign::Unknown,
            Some(Answer { verdict: Verdict::Failed, hint, .. }) => Sign::Fails(*hint),
            Some(_) => Sign::Works,
        };
        let mut outage = self.server.outage();
        let before = outage.condition();
        let turn = outage.answered(entry, sign, state.most_at_once(), now);
        if before != Condition::Up || turn.is_some() {
            self.server.changed.notify_waiters();
        }
        state.wake(state.pick(&outage, now));
        turn
    }

    fn given_back(&self, endpoint: Endpoint, entry: Entry) {
        let now = Instant::now();
        let mut state = self.state();
        state.given_back(endpoint, now);
        let mut outage = self.server.outage();
        outage.answered(entry, Sign::Unknown, state.most_at_once(), now);
        self.server.changed.notify_waiters();
        state.wake(state.pick(&outage, now));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Permit ===

impl Permit<'_> {
    /// Says what came back. Gives whether that began or ended an outage.
    pub fn answered(mut self, answer: &Answer) -> Option<Turn> {
        let entry = self.entry.take()?;
        self.budget.answered(self.endpoint, entry, self.sent, Some(answer))
    }

    /// Does not send it after all.
    pub fn give_back(mut self) {
        if let Some(entry) = self.entry.take() {
            self.budget.given_back(self.endpoint, entry);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.budget.answered(self.endpoint, entry, self.sent, None);
        }
    }
}

/// A place in the queue, given up when nobody waits at it any more.
struct Place<'b> {
    budget: &'b Budget,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.queue.leave(self.ticket);
        // It may have been this one's turn, or its watch.
        state.watch = state.watch.filter(|(watcher, _)| *watcher != self.ticket);
        let outage = self.budget.server.outage();
        state.wake(state.pick(&outage, Instant::now()));
    }
}

// === impl Cause ===

impl Cause {
    pub const ALL: [Self; 6] =
        [Self::Hint, Self::Limit, Self::Quota, Self::Concurrency, Self::Outage, Self::Turn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Limit => "limit",
            Self::Quota => "quota",
            Self::Concurrency => "concurrency",
            Self::Outage => "outage",
            Self::Turn => "turn",
        }
    }
}
