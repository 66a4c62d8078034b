//! Keeps a server that is down from being hammered, and one that comes back from being overrun.
//!
//! After some failures in a row one request at a time goes out as a probe, with growing pauses. After
//! the first one that is answered, one more may be under way with every further answer, until as many
//! are as ever.
//!
//! # Invariants
//! - U1: while it lasts, at most one probe is under way, and none starts before the pause is over.
//! - U2: a pause is never shorter than the server's hint.
//! - U3: failures in a row during the recovery begin it anew, with a longer pause; a single one, which
//!   may be about its own request, slows it down.
//! - U4: what was under way when it began neither ends nor prolongs a pause by failing, but for its hint.
//! - U5: one that nobody asks about any more does not last forever: what waited may have been given up,
//!   or be somebody else's now. Then the next request is a probe.
//!
//! Not here: who is told (`deliver`), limits (`budget`).

use std::time::Duration;

use tokio::time::Instant;

use super::after;
use super::retry::RetryPauses;
use super::window::Leave;

/// Failures in a row during a recovery after which it begins anew.
const RELAPSE: u32 = 2;
/// How many longest pauses a due probe is waited for: those who have something to send come sooner.
const UNASKED: u32 = 3;

/// When to believe in an outage, and how to ask whether it is over.
#[derive(Debug, Clone, Copy)]
pub struct OutageSettings {
    /// Failures in a row that are no everyday noise any more.
    pub failures: u32,
    /// Between probes: the first pause and the longest, before jitter.
    pub pause: Duration,
    pub longest_pause: Duration,
}

/// What is known about a server.
#[derive(Debug)]
pub struct Outage {
    settings: OutageSettings,
    pauses: RetryPauses,
    state: State,
    /// Of the state: what was sent under another one is told apart by it.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Up { failures: u32 },
    Down { next_probe: Instant, probing: bool },
    Recovering { allowed: u32, under_way: u32, failures: u32 },
}

/// The state as a metric shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Up,
    Recovering,
    Down,
}

/// A request that was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    generation: u64,
}

/// What an answer says about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Works,
    /// It does not, with its hint.
    Fails(Option<Duration>),
    /// There is no answer, and nobody waits for one any more.
    Unknown,
}

/// Something to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Began,
    /// The first answer.
    Answers,
    /// After an answer, a failure again.
    Relapsed,
    /// Nobody has asked for long.
    Lapsed,
    Ended,
}

impl Outage {
    pub fn new(settings: OutageSettings) -> Self {
        Self { settings, pauses: pauses(settings), state: State::Up { failures: 0 }, generation: 0 }
    }

    pub fn condition(&self) -> Condition {
        match self.state {
            State::Up { .. } => Condition::Up,
            State::Recovering { .. } => Condition::Recovering,
            State::Down { .. } => Condition::Down,
        }
    }

    /// Whether a request may be sent.
    pub fn leave(&self, now: Instant) -> Leave {
        match self.state {
            State::Down { probing: true, .. } => Leave::AfterAnAnswer,
            State::Down { next_probe, .. } if next_probe > now => Leave::At(next_probe),
            State::Recovering { allowed, under_way, .. } if under_way >= allowed => {
                Leave::AfterAnAnswer
            }
            State::Up { .. } | State::Down { .. } | State::Recovering { .. } => Leave::Now,
        }
    }

    /// Looks whether anybody asks still (U5). After that one failure is enough for a relapse.
    pub fn look(&mut self, now: Instant) -> Option<Turn> {
        let State::Down { next_probe, probing: false } = self.state else { return None };
        let unasked = now.saturating_duration_since(next_probe);
        (unasked > self.settings.longest_pause.saturating_mul(UNASKED)).then(|| {
            self.change(State::Recovering { allowed: 1, under_way: 0, failures: RELAPSE - 1 });
            Turn::Lapsed
        })
    }

    /// Notes that a request is sent.
    pub fn enter(&mut self) -> Entry {
        match &mut self.state {
            State::Up { .. } => {}
            State::Down { probing, .. } => *probing = true,
            State::Recovering { under_way, .. } => *under_way += 1,
        }
        Entry { generation: self.generation }
    }

    /// Takes in what became of a request. `full` is how many may be under way when all is well.
    pub fn answered(&mut self, entry: Entry, sign: Sign, full: u32, now: Instant) -> Option<Turn> {
        let own = entry.generation == self.generation;
        match (sign, self.state) {
            (Sign::Works, State::Up { .. }) => {
                self.state = State::Up { failures: 0 };
                None
            }
            (Sign::Works, State::Down { .. }) => {
                self.change(State::Recovering { allowed: 2, under_way: 0, failures: 0 });
                Some(Turn::Answers)
            }
            (Sign::Works, State::Recovering { allowed, under_way, .. }) => {
                let under_way = under_way.saturating_sub(u32::from(own));
                self.state = State::Recovering { allowed: allowed + 1, under_way, failures: 0 };
                // When nobody else is sending, there is no stampede to fear. What was sent before the
                // outage is no sign of that.
                (allowed >= full || (own && under_way == 0)).then(|| self.end())
            }
            (Sign::Fails(hint), State::Up { failures }) => {
                let failures = failures + 1;
                self.state = State::Up { failures };
                (failures >= self.settings.failures).then(|| {
                    self.pauses = pauses(self.settings);
                    self.go_down(hint, now);
                    Turn::Began
                })
            }
            (Sign::Fails(hint), State::Recovering { failures, .. })
                if own && failures + 1 >= RELAPSE =>
            {
                self.go_down(hint, now);
                Some(Turn::Relapsed)
            }
            (Sign::Fails(_), State::Recovering { allowed, under_way, failures }) if own => {
                let (allowed, under_way) = ((allowed / 2).max(1), under_way.saturating_sub(1));
                self.state = State::Recovering { allowed, under_way, failures: failures + 1 };
                None
            }
            (Sign::Fails(hint), State::Down { .. }) if own => {
                self.go_down(hint, now);
                None
            }
            (Sign::Fails(hint), State::Down { next_probe, probing }) => {
                let next_probe = next_probe.max(after(now, hint.unwrap_or_default()));
                self.state = State::Down { next_probe, probing };
                None
            }
            (Sign::Unknown, State::Down { next_probe, .. }) if own => {
                self.state = State::Down { next_probe, probing: false };
                None
            }
            (Sign::Unknown, State::Recovering { allowed, under_way, failures }) if own => {
                let under_way = under_way.saturating_sub(1);
                self.state = State::Recovering { allowed, under_way, failures };
                None
            }
            (Sign::Unknown | Sign::Fails(_), _) => None,
        }
    }

    fn end(&mut self) -> Turn {
        self.change(State::Up { failures: 0 });
        Turn::Ended
    }

    fn go_down(&mut self, hint: Option<Duration>, now: Instant) {
        let next_probe = after(now, self.pauses.next(hint));
        self.change(State::Down { next_probe, probing: false });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

fn pauses(settings: OutageSettings) -> RetryPauses {
    RetryPauses::new(settings.pause, settings.longest_pause)
}

#[cfg(test)]
mod tests;
