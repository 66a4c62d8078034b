//! Whether the service is alive and whether it is ready, with the reasons in words.
//!
//! Alive means that the consumer thread makes progress through its loop; it does so even when there
//! is nothing to read and when LaunchDarkly is down. Ready means that records flow, or would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::clock;

/// The consumer thread turns at least every 100 ms; 30 s without a turn means it is stuck.
const HEARTBEAT_LIMIT_MS: i64 = 30_000;

/// Without a turn for this long the whole process may have been stopped: a suspended machine, a frozen
/// container. Longer than anything the consumer thread waits for.
const STANDSTILL_MS: i64 = 4_000;
/// What the Kafka client takes to find out, after a standstill, that the group has gone on without us:
/// it looks at its session every second, and asks the coordinator.
const REORIENTATION_MS: i64 = 2_500;

/// Between two looks of [`Health::stuck`], and as many of them find that nothing has turned.
const WATCH_STEP: Duration = Duration::from_secs(1);
const WATCH_STEPS: u32 = 60;

/// What the parts report and the admin address shows.
#[derive(Debug, Default)]
pub struct Health {
    shared: Arc<Shared>,
    /// Tells the reports of one generation of the configuration from those of another.
    scope: u64,
    /// Nothing more is to be heard of this scope.
    retired: AtomicBool,
}

#[derive(Debug, Default)]
struct Shared {
    heartbeat_ms: AtomicI64,
    /// When the consumer thread last turned after a standstill.
    resumed_ms: AtomicI64,
    /// Reasons not to be ready, by the part that gives them and its scope.
    faults: Mutex<BTreeMap<(String, u64), String>>,
}

/// An answer of `/live` or `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    pub ok: bool,
    /// Part → what is wrong with it.
    pub reasons: BTreeMap<String, String>,
}

impl Health {
    /// The same, for reports that end together.
    #[must_use]
    pub fn scoped(&self, scope: u64) -> Self {
        Self { shared: Arc::clone(&self.shared), scope, retired: AtomicBool::new(false) }
    }

    /// Forgets what this scope has reported, and hears nothing more of it.
    pub fn retire(&self) {
        let mut faults = self.faults();
        self.retired.store(true, Ordering::SeqCst);
        faults.retain(|(_, scope), _| *scope != self.scope);
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<(String, u64), String>> {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports that the consumer thread has turned once more.
    pub fn beat(&self) {
        self.beat_at(clock::now_ms());
    }

    fn beat_at(&self, now_ms: i64) {
        let before = self.shared.heartbeat_ms.swap(now_ms, Ordering::SeqCst);
        if before > 0 && now_ms - before > STANDSTILL_MS {
            self.shared.resumed_ms.store(now_ms, Ordering::SeqCst);
        }
    }

    /// Whether the process stands still, or did so a moment ago: others may have taken over what it
    /// holds, and it does not know yet.
    pub fn has_stood_still(&self) -> bool {
        self.has_stood_still_at(clock::now_ms())
    }

    fn has_stood_still_at(&self, now_ms: i64) -> bool {
        let within = |at: &AtomicI64, limit| {
            let at = at.load(Ordering::SeqCst);
            at > 0 && now_ms - at <= limit
        };
        // Before the first turn there is nothing to take over.
        let turned = self.shared.heartbeat_ms.load(Ordering::SeqCst) > 0;
        turned
            && (!within(&self.shared.heartbeat_ms, STANDSTILL_MS)
                || within(&self.shared.resumed_ms, REORIENTATION_MS))
    }

    /// Waits until the consumer thread has not turned for a minute, and gives how long that is. The time
    /// of a suspended machine does not count: nobody looked meanwhile.
    pub async fn stuck(&self) -> Duration {
        let mut last = self.shared.heartbeat_ms.load(Ordering::SeqCst);
        let mut looks = 0;
        while looks < WATCH_STEPS {
            tokio::time::sleep(WATCH_STEP).await;
            let now = self.shared.heartbeat_ms.load(Ordering::SeqCst);
            looks = if now == last { looks + 1 } else { 0 };
            last = now;
        }
        WATCH_STEP * WATCH_STEPS
    }

    /// Reports that a part cannot do its work. Gives whether that is news.
    pub fn fault(&self, part: &str, reason: impl Into<String>) -> bool {
        let mut faults = self.faults();
        if self.retired.load(Ordering::SeqCst) {
            return false;
        }
        faults.insert((part.to_owned(), self.scope), reason.into()).is_none()
    }

    /// Reports that a part works. Gives whether it did not before.
    pub fn heal(&self, part: &str) -> bool {
        self.faults().remove(&(part.to_owned(), self.scope)).is_some()
    }

    pub fn live(&self) -> HealthReport {
        let age = clock::now_ms() - self.shared.heartbeat_ms.load(Ordering::Relaxed);
        let mut reasons = BTreeMap::new();
        if age > HEARTBEAT_LIMIT_MS {
            reasons.insert("consumer".to_owned(), format!("no turn for {} s", age / 1_000));
        }
        HealthReport { ok: reasons.is_empty(), reasons }
    }

    pub fn ready(&self) -> HealthReport {
        // The newest scope comes last, and is the one that counts.
        let faults = self.faults().clone();
        let mut reasons: BTreeMap<_, _> =
            faults.into_iter().map(|((part, _), reason)| (part, reason)).collect();
        reasons.extend(self.live().reasons);
        HealthReport { ok: reasons.is_empty(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_is_noticed_from_either_side_and_passes() {
        let health = Health::default();
        assert!(!health.has_stood_still_at(1_000_000), "nothing has turned yet");
        for turn in 0..50 {
            health.beat_at(1_000 + turn * 100);
            assert!(!health.has_stood_still_at(1_000 + turn * 100 + 99));
        }
        let last = 1_000 + 49 * 100;
        assert!(!health.has_stood_still_at(last + STANDSTILL_MS));
        assert!(health.has_stood_still_at(last + STANDSTILL_MS + 1), "before the next turn");
        let resumed = last + 60_000;
        health.beat_at(resumed);
        assert!(health.has_stood_still_at(resumed), "and right after it");
        for turn in 1..=25 {
            health.beat_at(resumed + turn * 100);
            assert!(health.has_stood_still_at(resumed + turn * 100));
        }
        health.beat_at(resumed + 2_600);
        assert!(!health.has_stood_still_at(resumed + 2_600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_turns_no_more_is_stuck_after_a_minute() {
        let health = Health::default();
        let start = tokio::time::Instant::now();
        let turns = async {
            for turn in 0..300 {
                health.beat_at(1_000 + turn);
                tokio::time::sleep(Duration::from_secs(7)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = health.stuck() => {}
            () = turns => {}
        }
        let after = start.elapsed().as_secs() - 299 * 7;
        assert!((60..=62).contains(&after), "{after}");
    }

    #[test]
    fn readiness_names_every_fault_until_it_heals() {
        let health = Health::default();
        assert!(!health.live().ok, "nothing has turned yet");
        health.beat();
        assert!(health.ready().ok);
        assert!(health.fault("target production", "401"));
        assert!(!health.fault("target production", "401 again"));
        assert_eq!(health.ready().reasons["target production"], "401 again");
        assert!(health.live().ok);
        assert!(health.heal("target production"));
        assert!(!health.heal("target production"));
        assert!(health.ready().ok);
    }

    #[test]
    fn what_a_scope_reported_ends_with_it() {
        let health = Health::default();
        health.beat();
        let (old, new) = (health.scoped(1), health.scoped(2));
        assert!(old.fault("target production", "401") && new.fault("target production", "403"));
        assert_eq!(health.ready().reasons["target production"], "403");
        old.retire();
        assert!(!old.fault("target production", "401 again"), "nothing more is heard of it");
        assert_eq!(health.ready().reasons["target production"], "403");
        assert!(new.heal("target production"));
        assert!(health.ready().ok);
    }
}
