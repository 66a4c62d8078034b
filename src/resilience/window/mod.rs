//! One limit of the server's: what it last told is left of the present window, and how fast that may
//! be used.
//!
//! Requests are spread evenly over what is left of the window, and twice as fast while more than half
//! of our part is left. Whoever shares the limit is seen in what is left, so several of us come to use
//! it up together without knowing of each other.
//!
//! # Invariants
//! - N1: no request goes out when what is left, less what is under way, is no more than the reserve.
//! - N2: a window is taken for over no sooner than any clock that fits the answers would say.
//!
//! Not here: who asks (`budget`), limits that are not told (`guess`).

mod clock;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::clock::ServerClock;

/// The window LaunchDarkly documents.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Resets that lie closer together are those of one window.
const SAME_WINDOW_MS: i64 = 500;
/// Windows are not taken for shorter or longer than this.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3_600);
/// Answers in a row without a word about a limit, after which there is none.
const FORGOTTEN_AFTER: u32 = 20;
/// As long as nothing is known of a window, this share of it may be under way at once, and no more than
/// so many requests.
const UNSEEN_SHARE: u32 = 8;
const UNSEEN_MOST: u32 = 2;
/// What others take is seen within no shorter time than this.
const GLANCE: Duration = Duration::from_millis(500);

/// What an answer says of a limit; every part may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Requests per window.
    pub limit: Option<u32>,
    /// Requests left in this window.
    pub remaining: Option<u32>,
    /// When the window ends, by the server's clock, in milliseconds since whenever.
    pub reset_ms: Option<i64>,
    /// How long that is, if there are clocks that say so. They may be wrong.
    pub reset_in: Option<Duration>,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Now,
    /// Not before this.
    At(Instant),
    /// Not before another answer has come.
    AfterAnAnswer,
}

/// What is known of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub limit: u32,
    pub remaining: u32,
    /// What of the limit is left to others.
    pub reserve: u32,
}

/// A limit.
#[derive(Debug)]
pub struct Window {
    /// The share of the limit that is left to others.
    reserve: f64,
    limit: Option<u32>,
    /// What stands for the limit where it is not told.
    most: u32,
    length: Duration,
    present: Option<Present>,
    clock: ServerClock,
    silent: u32,
    last_sent: Option<Instant>,
}

/// The window that the newest answer told of.
#[derive(Debug, Clone, Copy)]
struct Present {
    reset_ms: Option<i64>,
    remaining: u32,
    /// The latest time at which it may end.
    ends: Instant,
    told_at: Instant,
    /// What was left when it was first told of, and how many of our requests were answered since.
    first: (Instant, u32),
    answered: u32,
}

// === impl Window ===

impl Window {
    /// A limit of which nothing is known yet. `reserve` is a share, from 0 to below 1.
    pub fn new(reserve: f64, now: Instant) -> Self {
        Self {
            reserve: reserve.clamp(0.0, 0.99),
            limit: None,
            most: 0,
            length: WINDOW,
            present: None,
            clock: ServerClock::new(now),
            silent: 0,
            last_sent: None,
        }
    }

    /// Notes that a request goes out that counts against this limit.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = Some(now);
    }

    /// Takes in an answer to a request that was sent at `sent`.
    pub fn answered(&mut self, told: Told, sent: Instant, now: Instant) {
        self.limit = told.limit.or(self.limit);
        let Some(remaining) = told.remaining else {
            self.unseen();
            return;
        };
        self.silent = 0;
        match told.reset_ms {
            Some(reset_ms) => {
                self.told_with_reset(remaining, (reset_ms, told.reset_in), sent, now);
            }
            None => self.told_without_reset(remaining, now),
        }
    }

    /// Takes in that a request was, perhaps, counted without our being told.
    pub fn unseen(&mut self) {
        self.silent += 1;
        if self.silent >= FORGOTTEN_AFTER {
            self.present = None;
            self.limit = None;
        }
        if let Some(present) = &mut self.present {
            present.remaining = present.remaining.saturating_sub(1);
        }
    }

    pub fn is_known(&self) -> bool {
        self.present.is_some()
    }

    /// What is known, where anything is.
    pub fn level(&self) -> Option<Level> {
        let limit = self.total();
        let Present { remaining, .. } = self.present?;
        Some(Level { limit, remaining, reserve: self.reserved(limit) })
    }

    /// Whether one more request may go out while so many are under way. `None` when nothing is known.
    pub fn leave(&self, under_way: u32, now: Instant) -> Option<Leave> {
        let present = self.present?;
        let ends = present.ends;
        let total = self.total();
        let reserved = self.reserved(total);
        let ours = total.saturating_sub(reserved);
        if now >= ends {
            // A new window has begun; what others have left of it, the first answers tell.
            let unseen = (ours / UNSEEN_SHARE).clamp(1, UNSEEN_MOST);
            return Some(if under_way < unseen { Leave::Now } else { Leave::AfterAnAnswer });
        }
        let left_of = |remaining: u32| remaining.saturating_sub(under_way).saturating_sub(reserved);
        if left_of(present.remaining) == 0 {
            return Some(Leave::At(ends));
        }
        // Others may have stopped; only asking tells.
        let left = left_of(present.left(now)).max(1);
        let Some(last) = self.last_sent else { return Some(Leave::Now) };
        let pace = if left > ours / 2 { 2 } else { 1 };
        let spacing = ends.saturating_duration_since(last) / (left + 1) / pace;
        let next = last + spacing;
        Some(if next <= now { Leave::Now } else { Leave::At(next) })
    }

    fn total(&self) -> u32 {
        self.limit.unwrap_or(self.most).max(1)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a u32, rounded up, is one"
    )]
    fn reserved(&self, total: u32) -> u32 {
        // Whatever the share, one request is ours: with none nothing would ever be known.
        ((f64::from(total) * self.reserve).ceil() as u32).min(total - 1)
    }

    fn told_with_reset(
        &mut self,
        remaining: u32,
        (reset_ms, reset_in): (i64, Option<Duration>),
        sent: Instant,
        now: Instant,
    ) {
        let known = self.present.and_then(|present| Some((present, present.reset_ms?)));
        let present = match known {
            Some((present, known_ms))
                if reset_ms.saturating_add(SAME_WINDOW_MS) < known_ms && now < present.ends =>
            {
                // An answer of the window before that took its time.
                return;
            }
            Some((mut present, known_ms))
                if reset_ms < known_ms.saturating_add(present.same_ms(now)) =>
            {
                if now >= present.ends && sent >= present.ends {
                    // It should have been over: clocks are wrong, or windows longer than we thought.
                    if self.clock.was_wrong() {
                        self.length = (self.length * 2).min(LONGEST);
                    }
                }
                present.go_on(remaining, now);
                present
            }
            Some((present, known_ms)) => {
                if remaining > present.remaining {
                    self.learn_length(reset_ms.saturating_sub(known_ms));
                }
                self.begin(remaining, now)
            }
            None => self.begin(remaining, now),
        };
        self.clock.believe(reset_ms, reset_in, now);
        self.clock.narrow(reset_ms, self.length, sent, now);
        let ends = self.clock.latest(reset_ms);
        self.present = Some(Present { reset_ms: Some(reset_ms), ends, ..present });
    }

    fn told_without_reset(&mut self, remaining: u32, now: Instant) {
        let slack = self.total() / 4;
        self.present = Some(match self.present {
            // Answers overtake each other, but not by much.
            Some(mut present) if now < present.ends && remaining <= present.remaining + slack => {
                present.go_on(remaining, now);
                present
            }
            Some(_) | None => self.begin(remaining, now),
        });
    }

    fn begin(&mut self, remaining: u32, now: Instant) -> Present {
        self.most = remaining.saturating_add(1).max(self.most / 10 * 9);
        Present::begin(remaining, now + self.length, now)
    }

    fn learn_length(&mut self, between_ms: i64) {
        let between = Duration::from_millis(between_ms.unsigned_abs());
        self.length = self.length.min(between.max(SHORTEST));
    }
}

// === impl Present ===

impl Present {
    fn begin(remaining: u32, ends: Instant, now: Instant) -> Self {
        let first = (now, remaining);
        Self { reset_ms: None, remaining, ends, told_at: now, first, answered: 0 }
    }

    fn go_on(&mut self, remaining: u32, now: Instant) {
        self.remaining = self.remaining.min(remaining);
        self.told_at = now;
        self.answered += 1;
    }

    /// Resets that lie this much closer together, or less, are those of one window. One that should be
    /// over is not the one of which a later reset is told.
    fn same_ms(&self, now: Instant) -> i64 {
        if now >= self.ends { 1 } else { SAME_WINDOW_MS }
    }

    /// What is left by now if others go on as they did.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a u32 is one"
    )]
    fn left(&self, now: Instant) -> u32 {
        let (since, at_first) = self.first;
        let by_others = at_first.saturating_sub(self.remaining).saturating_sub(self.answered);
        let seen_for = self.told_at.saturating_duration_since(since).max(GLANCE);
        let unseen_for = now.saturating_duration_since(self.told_at);
        let unseen = f64::from(by_others) * unseen_for.div_duration_f64(seen_for);
        self.remaining.saturating_sub(unseen as u32)
    }
}
