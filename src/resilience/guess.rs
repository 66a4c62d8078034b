//! What a limit may be that refuses requests and is not told.
//!
//! When it refuses again and again, it is known how many requests were accepted within a window before
//! that: the limit cannot be much more. From then on requests are spread evenly at somewhat less; after a
//! while without a refusal, at more and more again. The surer the limit, the longer the while.
//!
//! # Invariants
//! - B1: a single refusal is no limit, nor is one among few requests: then there are the pauses alone.
//! - B2: one overrun lowers the guess once, however many requests it refuses.
//! - B3: after every refusal nothing is sent for a while, and longer from one refusal to the next.
//!
//! Not here: limits that are told (`window`).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::after;
use super::retry::RetryPauses;
use super::window::{Leave, WINDOW};

/// What of the accepted is asked for after a refusal.
const CAUTION: f64 = 0.85;
/// Windows without a refusal before more is tried: at first, and when the limit is sure.
const PATIENCE: u32 = 3;
const MOST_PATIENCE: u32 = 48;
/// Two refusals belong together that lie no more windows apart than this.
const TOGETHER: u32 = 6;
/// A refusal at this share of the limit, or more, confirms it.
const CONFIRMS: f64 = 0.7;
/// What was accepted in the best window counts for so much less with every window since.
const FADING: f64 = 0.95;
/// How much more at first; twice as much from window to window.
const MORE: f64 = 0.02;
const MORE_IF_UNSURE: f64 = 0.1;
const MOST_MORE: f64 = 0.5;
/// How many times what was once accepted makes a limit not worth keeping.
const FORGOTTEN_AT: f64 = 20.0;
/// Fewer accepted in a window tell nothing about a limit: then there are the pauses alone.
const TELLING: f64 = 20.0;
/// Acceptances are counted by this much time.
const SLICE: Duration = Duration::from_millis(500);

/// A limit that is not told.
#[derive(Debug)]
pub struct Guess {
    accepted: VecDeque<(Instant, u32)>,
    first: Option<Instant>,
    /// The most that was accepted within a window, and when.
    best: Option<(Instant, f64)>,
    last_overrun: Option<Instant>,
    limit: Option<Limit>,
    pauses: RetryPauses,
    shortest: Duration,
    refused_in_a_row: bool,
    closed_until: Option<Instant>,
    last_sent: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    per_window: f64,
    cut_to: f64,
    since: Instant,
    more: f64,
    raise_at: Instant,
    patience: u32,
}

impl Guess {
    /// Pauses after refusals begin with about `shortest`.
    pub fn new(shortest: Duration) -> Self {
        Self {
            accepted: VecDeque::new(),
            first: None,
            best: None,
            last_overrun: None,
            limit: None,
            pauses: RetryPauses::new(shortest, WINDOW.max(shortest)),
            shortest,
            refused_in_a_row: false,
            closed_until: None,
            last_sent: None,
        }
    }

    /// The guess, in requests per window.
    pub fn limit(&self) -> Option<f64> {
        self.limit.map(|limit| limit.per_window)
    }

    pub fn sent(&mut self, now: Instant) {
        self.last_sent = Some(now);
    }

    pub fn leave(&self, now: Instant) -> Leave {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Leave::At(until);
        }
        let (Some(limit), Some(last)) = (self.limit, self.last_sent) else { return Leave::Now };
        let next = last + WINDOW.div_f64(limit.per_window);
        if next <= now { Leave::Now } else { Leave::At(next) }
    }

    pub fn accepted(&mut self, now: Instant) {
        self.forget(now);
        match self.accepted.back_mut() {
            Some((since, count)) if now.saturating_duration_since(*since) < SLICE => *count += 1,
            Some(_) | None => self.accepted.push_back((now, 1)),
        }
        self.first = self.first.or(Some(now));
        let count = self.count();
        if self.best_by(now) <= count {
            self.best = Some((now, count));
        }
        if std::mem::take(&mut self.refused_in_a_row) {
            self.pauses = RetryPauses::new(self.shortest, WINDOW.max(self.shortest));
        }
        self.raise(now);
    }

    /// Takes in a refusal, with what the server asked for, if it did.
    pub fn refused(&mut self, hint: Option<Duration>, sent: Instant, now: Instant) {
        // What was under way at the first refusal is the same overrun (B2).
        if self.last_overrun.is_none_or(|overrun| sent >= overrun) {
            let probe = std::mem::replace(&mut self.refused_in_a_row, true);
            let pause = self.pauses.next(hint);
            self.closed_until = self.closed_until.max(Some(after(now, pause)));
            // While the window lasts that was overrun, further refusals tell nothing new.
            if !probe {
                self.cut(now);
            }
        }
    }

    fn cut(&mut self, now: Instant) {
        self.forget(now);
        let accepted = self.count();
        let before = self.last_overrun.replace(now);
        let again = before.is_some_and(|before| now - before <= WINDOW * TOGETHER);
        if self.limit.is_some_and(|limit| now.saturating_duration_since(limit.since) < WINDOW) {
            // Too soon for the cut to show: the pauses have to do (B2).
            return;
        }
        let whole = self.first.is_some_and(|first| now - first >= WINDOW);
        let (base, patience) = match self.limit {
            None if again && whole && accepted >= TELLING => (accepted, PATIENCE),
            None => return,
            Some(limit) if accepted >= limit.per_window * CONFIRMS => {
                (accepted.min(limit.per_window), (limit.patience * 2).min(MOST_PATIENCE))
            }
            Some(limit) => (accepted, limit.patience.min(PATIENCE)),
        };
        // So many in any window of ours are half as many in one of the server's at least.
        let per_window = (base * CAUTION).max(self.best_by(now) / 2.0);
        if per_window < TELLING {
            // Whatever refuses, it is not the number of requests, or too small a one to be told.
            (self.limit, self.last_overrun) = (None, None);
            return;
        }
        self.limit = Some(Limit {
            per_window,
            cut_to: per_window,
            since: now,
            more: if patience > PATIENCE { MORE } else { MORE_IF_UNSURE },
            raise_at: now + WINDOW * patience,
            patience,
        });
    }

    fn count(&self) -> f64 {
        f64::from(self.accepted.iter().map(|(_, count)| count).sum::<u32>())
    }

    fn best_by(&self, now: Instant) -> f64 {
        let faded =
            |(at, count): (Instant, f64)| count * FADING.powf((now - at).div_duration_f64(WINDOW));
        self.best.map_or(0.0, faded)
    }

    fn raise(&mut self, now: Instant) {
        let Some(limit) = &mut self.limit else { return };
        if now < limit.raise_at {
            return;
        }
        limit.per_window *= 1.0 + limit.more;
        limit.more = (limit.more * 2.0).min(MOST_MORE);
        limit.raise_at = now + WINDOW;
        if limit.per_window > limit.cut_to * FORGOTTEN_AT {
            self.limit = None;
        }
    }

    fn forget(&mut self, now: Instant) {
        while self
            .accepted
            .front()
            .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= WINDOW)
        {
            self.accepted.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_secs(1);

    /// Accepts so many requests, evenly within a window.
    fn window(guess: &mut Guess, count: u32, now: &mut Instant) {
        for _ in 0..count {
            guess.sent(*now);
            guess.accepted(*now);
            *now += WINDOW / count;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_tell_what_was_accepted_b2() {
        let mut now = Instant::now();
        let mut guess = Guess::new(SHORTEST);
        window(&mut guess, 100, &mut now);
        for _ in 0..4 {
            let sent = now - SHORTEST;
            guess.refused(None, sent, now);
        }
        assert_eq!(guess.limit(), None, "B1");
        window(&mut guess, 100, &mut now);
        let sent = now;
        for _ in 0..4 {
            guess.refused(None, sent, now);
            now += Duration::from_millis(1);
        }
        let limit = guess.limit().unwrap();
        assert!((80.0..86.0).contains(&limit), "{limit}");
        assert!(matches!(guess.leave(now), Leave::At(at) if at >= now + SHORTEST / 3), "B3");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_that_have_other_reasons_do_not_stop_everything_b1() {
        let mut now = Instant::now();
        let mut guess = Guess::new(SHORTEST);
        for _ in 0..3 {
            window(&mut guess, 2, &mut now);
            guess.refused(None, now, now);
        }
        assert_eq!(guess.limit(), None, "among few requests");
        for _ in 0..10 {
            window(&mut guess, 200, &mut now);
            guess.refused(None, now, now);
        }
        let limit = guess.limit().unwrap();
        assert!(limit >= 95.0, "{limit}: they were accepted, after all");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_at_any_pace_are_no_limit_b1() {
        let mut now = Instant::now();
        let mut guess = Guess::new(SHORTEST);
        let mut slowest = f64::MAX;
        // One in five is refused, however many there are, in one window of seven.
        for window in 0..70 {
            let end = now + WINDOW;
            let mut made = 0;
            while now < end {
                match guess.leave(now) {
                    Leave::At(at) => now = at.min(end),
                    Leave::Now | Leave::AfterAnAnswer => {
                        guess.sent(now);
                        made += 1;
                        if window % 7 == 4 && made % 5 == 0 {
                            guess.refused(Some(SHORTEST), now, now);
                        } else {
                            guess.accepted(now);
                        }
                        now += Duration::from_millis(100);
                    }
                }
            }
            if window > 7 {
                slowest = slowest.min(f64::from(made));
            }
        }
        assert!(slowest >= TELLING, "{slowest}");
        assert!(guess.limit().is_none_or(|limit| limit > TELLING), "{guess:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_hints_are_obeyed_b3() {
        let mut now = Instant::now();
        let mut guess = Guess::new(SHORTEST);
        guess.accepted(now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            guess.refused(None, now, now);
            let Leave::At(at) = guess.leave(now) else { panic!("{guess:?}") };
            pauses.push(at - now);
            now = at;
        }
        assert!(pauses[5] > pauses[0] * 2, "{pauses:?}");
        let day = Duration::from_secs(86_400);
        guess.refused(Some(day), now, now);
        assert!(matches!(guess.leave(now), Leave::At(at) if at >= now + day));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_while_more_is_tried_and_in_the_end_everything() {
        let mut now = Instant::now();
        let mut guess = Guess::new(SHORTEST);
        for _ in 0..2 {
            window(&mut guess, 100, &mut now);
            guess.refused(None, now, now);
        }
        now += WINDOW * (PATIENCE - 1);
        guess.accepted(now);
        assert!(guess.limit().is_some_and(|limit| limit < 86.0));
        for _ in 0..20 {
            now += WINDOW;
            guess.accepted(now);
        }
        assert_eq!(guess.limit(), None);
    }
}
