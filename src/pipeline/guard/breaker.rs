//! Halts when too many records are refused, lets one through now and then, and opens again when
//! several in a row are taken.
//!
//! # Invariants
//! - B1: while halted, there is one probe at a time, and after one that was refused the next one waits
//!   for `probe_interval`. After one that was taken it does not.
//! - B2: it opens after [`HEALED`] records in a row that were taken, and with an empty memory.
//! - B3: a probe that ends without a judgement gives its turn back.

use tokio::time::Instant;

use super::meter::{Excess, Meter};
use crate::pipeline::settings::GuardSettings;

/// Records in a row that must be taken before everything goes on. One alone may be the lucky one of a
/// topic that is broken by half.
pub(super) const HEALED: u64 = 10;

/// The guard of one route at one stage.
#[derive(Debug)]
pub struct Breaker {
    settings: GuardSettings,
    meter: Meter,
    halted: Option<Halted>,
    tickets: u64,
}

#[derive(Debug)]
struct Halted {
    /// When the next probe may begin.
    ready_at: Instant,
    /// The probe under way.
    probe: Option<Ticket>,
    passed: u64,
}

/// Names a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// A turn of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Halted(Excess),
    Opened,
}

impl Breaker {
    pub fn new(settings: GuardSettings) -> Self {
        Self { settings, meter: Meter::new(settings), halted: None, tickets: 0 }
    }

    /// Counts records that were taken.
    pub fn passed(&mut self, records: u64, now: Instant) -> Option<Change> {
        let Some(halted) = &mut self.halted else {
            if self.settings.enabled {
                self.meter.passed(records);
            }
            return None;
        };
        halted.passed += records;
        (halted.probe, halted.ready_at) = (None, now);
        if halted.passed < HEALED {
            return None;
        }
        self.reset();
        Some(Change::Opened)
    }

    /// Counts one that was refused.
    pub fn refused(&mut self, now: Instant) -> Option<Change> {
        let ready_at = now + self.settings.probe_interval;
        if let Some(halted) = &mut self.halted {
            *halted = Halted { ready_at, probe: None, passed: 0 };
            return None;
        }
        let excess = if self.settings.enabled { self.meter.refused() } else { None }?;
        self.halted = Some(Halted { ready_at, probe: None, passed: 0 });
        Some(Change::Halted(excess))
    }

    pub fn is_halted(&self) -> bool {
        self.halted.is_some()
    }

    /// When a probe may begin; `None` while one is under way, or when nothing is halted.
    pub fn ready_at(&self) -> Option<Instant> {
        let halted = self.halted.as_ref().filter(|halted| halted.probe.is_none())?;
        Some(halted.ready_at)
    }

    pub fn is_ready(&self, now: Instant) -> bool {
        self.ready_at().is_some_and(|at| at <= now)
    }

    /// Begins a probe, if it is time.
    pub fn probe(&mut self, now: Instant) -> Option<Ticket> {
        if !self.is_ready(now) {
            return None;
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.halted.as_mut()?.probe = Some(ticket);
        Some(ticket)
    }

    /// Ends a probe, if it was not judged. Gives whether it was under way.
    pub fn end(&mut self, ticket: Ticket) -> bool {
        let halted = self.halted.as_mut().filter(|halted| halted.probe == Some(ticket));
        halted.is_some_and(|halted| halted.probe.take().is_some())
    }

    /// Opens, and forgets everything.
    pub fn reset(&mut self) {
        self.halted = None;
        self.meter.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn settings() -> GuardSettings {
        let (enabled, max_run, max_share, window) = (true, 3, 50, 20);
        GuardSettings { enabled, max_run, max_share, window, probe_interval: INTERVAL }
    }

    fn halted(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(settings());
        let changes: Vec<_> = (0..4).map(|_| breaker.refused(now)).collect();
        assert_eq!(changes, [None, None, Some(Change::Halted(Excess::Run(3))), None]);
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_the_next_one_after_the_interval_b1() {
        let now = Instant::now();
        let mut breaker = halted(now);
        assert_eq!(breaker.probe(now), None);
        let probe = breaker.probe(now + INTERVAL).unwrap();
        assert_eq!(breaker.probe(now + INTERVAL), None);
        assert!(breaker.end(probe), "B3");
        assert!(!breaker.end(probe));
        let probe = breaker.probe(now + INTERVAL).unwrap();
        breaker.refused(now + INTERVAL);
        assert!(!breaker.end(probe), "it was judged");
        assert_eq!(breaker.ready_at(), Some(now + 2 * INTERVAL));
        let later = now + 2 * INTERVAL;
        breaker.probe(later).unwrap();
        assert_eq!(breaker.passed(1, later), None);
        assert!(breaker.is_ready(later), "what was taken is followed by the next one");
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_several_in_a_row_and_forgets_b2() {
        let now = Instant::now();
        let mut breaker = halted(now);
        assert_eq!(breaker.passed(HEALED - 1, now), None);
        breaker.refused(now);
        assert_eq!(breaker.passed(HEALED - 1, now), None, "not in a row");
        assert_eq!(breaker.passed(1, now), Some(Change::Opened));
        assert!(!breaker.is_halted());
        let changes: Vec<_> = (0..3).map(|_| breaker.refused(now)).collect();
        assert_eq!(changes, [None, None, Some(Change::Halted(Excess::Run(3)))]);
    }

    #[tokio::test(start_paused = true)]
    async fn switched_off_it_never_halts() {
        let mut breaker = Breaker::new(GuardSettings { enabled: false, ..settings() });
        assert!((0..1_000).all(|_| breaker.refused(Instant::now()).is_none()));
        assert!(!breaker.is_halted());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Passed(u64),
        Refused,
        Probe,
        End,
        Wait(u64),
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// B1 and B3, whatever comes: what is dead-lettered while it is halted is bounded by time.
        #[test]
        fn while_halted_one_record_an_interval_is_refused(
            steps in prop::collection::vec((0..5_u8, 1..40_u64), 0..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let _time = runtime.enter();
            let start = Instant::now();
            let mut now = start;
            let mut breaker = halted(now);
            let (mut under_way, mut refused) = (None, 0_u64);
            for (kind, n) in steps {
                let step = match kind {
                    0 => Step::Passed(1),
                    1 => Step::Refused,
                    2 => Step::Probe,
                    3 => Step::End,
                    _ => Step::Wait(n),
                };
                // As those do who use it: only a probe is sent, and judged once.
                match (step, under_way) {
                    (Step::Probe, None) => under_way = breaker.probe(now),
                    (Step::Probe, Some(_)) => prop_assert_eq!(breaker.probe(now), None),
                    (Step::Passed(n), Some(_)) => {
                        under_way = None;
                        if breaker.passed(n, now).is_some() {
                            return Ok(());
                        }
                    }
                    (Step::Refused, Some(_)) => {
                        under_way = None;
                        refused += 1;
                        breaker.refused(now);
                    }
                    (Step::End, Some(ticket)) => {
                        under_way = None;
                        prop_assert!(breaker.end(ticket));
                    }
                    (Step::Wait(n), _) => now += Duration::from_secs(n),
                    (Step::Passed(_) | Step::Refused | Step::End, None) => {}
                }
                prop_assert!(breaker.is_halted());
                let intervals = now.duration_since(start).as_secs() / INTERVAL.as_secs();
                prop_assert!(refused <= intervals, "{} in {}", refused, intervals);
            }
        }
    }
}
