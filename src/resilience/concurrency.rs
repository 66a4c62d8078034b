//! How many requests may be under way at once towards a server that does not say what it can take.
//!
//! Grows by one per round of answers while the bound is in use, stays where it is while answers take
//! longer than they did, shrinks by a tenth when they take much longer, and by half when the server says
//! that it is too much.
//!
//! # Invariants
//! - O1: the bound stays between 1 and the maximum.
//! - O2: what was sent before the bound was halved does not halve it again.

use std::time::Duration;

use tokio::time::Instant;

/// The weight of the newest round in the average.
const NEWEST: f64 = 0.4;
/// That answers take longer is not soon taken for how long they take: it may be our doing.
const NEWEST_IF_SLOWER: f64 = 0.05;
/// The bound shrinks when a round is this many deviations above the average...
const DEVIATIONS: f64 = 2.5;
/// ...and at least this much, and only grows when it is not: less is noise.
const NOISE: Duration = Duration::from_millis(20);

/// A bound that adapts.
#[derive(Debug)]
pub struct Concurrency {
    bound: f64,
    max: f64,
    /// Nothing sent before this has a say.
    since: Instant,
    round: Round,
    average: Option<Average>,
}

/// The answers since the bound was last looked at.
#[derive(Debug, Default)]
struct Round {
    answers: u32,
    seconds: f64,
    /// Whether the bound held a request back, or just did not.
    bound_reached: bool,
}

#[derive(Debug, Clone, Copy)]
struct Average {
    seconds: f64,
    deviation: f64,
}

impl Concurrency {
    /// Begins in the middle.
    pub fn new(max: usize, now: Instant) -> Self {
        let max = f64::from(u32::try_from(max).unwrap_or(u32::MAX)).max(1.0);
        let bound = (max / 2.0).ceil();
        Self { bound, max, since: now, round: Round::default(), average: None }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a u32"
    )]
    pub fn bound(&self) -> u32 {
        self.bound.floor() as u32
    }

    /// Takes in an answer that the server was able to give, which was one of `under_way`.
    pub fn answered(&mut self, under_way: u32, sent: Instant, now: Instant) {
        if sent < self.since {
            return;
        }
        self.round.answers += 1;
        self.round.seconds += (now - sent).as_secs_f64();
        self.round.bound_reached |= under_way >= self.bound();
        if self.round.answers >= self.bound() {
            self.end_round();
        }
    }

    /// Takes in that the server could not, or would not.
    pub fn refused(&mut self, sent: Instant, now: Instant) {
        if sent >= self.since {
            self.bound = (self.bound / 2.0).max(1.0);
            self.since = now;
            self.round = Round::default();
        }
    }

    fn end_round(&mut self) {
        let Round { answers, seconds, bound_reached } = std::mem::take(&mut self.round);
        let seconds = seconds / f64::from(answers.max(1));
        let Some(Average { seconds: before, deviation }) = self.average else {
            self.average = Some(Average { seconds, deviation: 0.0 });
            return;
        };
        let (longer, noise) = (seconds - before, NOISE.as_secs_f64());
        if longer > (deviation * DEVIATIONS).max(noise) {
            self.bound = (self.bound * 0.9).max(1.0);
        } else if bound_reached && longer <= noise {
            self.bound = (self.bound.floor() + 1.0).min(self.max);
        }
        self.average = Some(Average {
            seconds: before + longer * if longer > 0.0 { NEWEST_IF_SLOWER } else { NEWEST },
            deviation: deviation + (longer.abs() - deviation) * NEWEST,
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rounds of answers that each take so long.
    fn rounds(one: &mut Concurrency, count: u32, took: Duration, mut now: Instant) -> Instant {
        for _ in 0..count {
            let bound = one.bound();
            for _ in 0..bound {
                one.answered(bound, now, now + took);
            }
            now += took;
        }
        now
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_while_all_is_well_and_shrinks_when_it_is_not() {
        let quick = Duration::from_millis(20);
        let mut one = Concurrency::new(16, Instant::now());
        assert_eq!(one.bound(), 8);
        let now = rounds(&mut one, 5, quick, Instant::now());
        assert_eq!(one.bound(), 12);
        let now = rounds(&mut one, 50, quick, now);
        assert_eq!(one.bound(), 16, "O1");
        one.refused(now, now + quick);
        assert_eq!(one.bound(), 8);
        for _ in 0..7 {
            one.refused(now, now + quick);
        }
        assert_eq!(one.bound(), 8, "O2: those were under way already");
        let now = rounds(&mut one, 1, Duration::from_millis(400), now + quick);
        assert_eq!(one.bound(), 7, "answers take longer");
        let now = rounds(&mut one, 20, Duration::from_millis(400), now);
        assert_eq!(one.bound(), 7, "it may be our doing");
        rounds(&mut one, 80, Duration::from_millis(400), now);
        assert_eq!(one.bound(), 16, "that is how long they take");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bound_that_nobody_needs_stays_where_it_is() {
        let now = Instant::now();
        let mut one = Concurrency::new(16, now);
        for _ in 0..100 {
            one.answered(1, now, now + Duration::from_millis(5));
        }
        assert_eq!(one.bound(), 8);
    }

    proptest! {
        #[test]
        fn o1_the_bound_stays_within(
            max in 1..64_usize,
            steps in proptest::collection::vec((0..3_u8, 0..2_000_u64), 0..200),
        ) {
            let start = Instant::now();
            let mut one = Concurrency::new(max, start);
            for (n, (what, ms)) in (0..).zip(steps) {
                let sent = start + Duration::from_secs(n);
                let now = sent + Duration::from_millis(ms);
                match what {
                    0 => one.refused(sent, now),
                    _ => one.answered(u32::from(what) * 32, sent, now),
                }
                prop_assert!(one.bound() >= 1 && usize::try_from(one.bound()).unwrap() <= max);
            }
        }
    }
}
