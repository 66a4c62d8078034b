//! Whether the service is alive and whether it is ready, with the reasons in words.
//!
//! Alive means that the consumer thread makes progress through its loop; it does so even when there
//! is nothing to read and when LaunchDarkly is down. Ready means that records flow, or would.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::clock;

/// The consumer thread turns at least every 100 ms; 30 s without a turn means it is stuck.
const HEARTBEAT_LIMIT_MS: i64 = 30_000;

/// What the parts report and the admin address shows.
#[derive(Debug, Default)]
pub struct Health {
    heartbeat_ms: AtomicI64,
    /// Reasons not to be ready, by the part that gives them.
    faults: Mutex<BTreeMap<String, String>>,
}

/// An answer of `/live` or `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    pub ok: bool,
    /// Part → what is wrong with it.
    pub reasons: BTreeMap<String, String>,
}

impl Health {
    /// Reports that the consumer thread has turned once more.
    pub fn beat(&self) {
        self.heartbeat_ms.store(clock::now_ms(), Ordering::Relaxed);
    }

    /// Reports that a part cannot do its work. Gives whether that is news.
    pub fn fault(&self, part: &str, reason: impl Into<String>) -> bool {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.insert(part.to_owned(), reason.into()).is_none()
    }

    /// Reports that a part works. Gives whether it did not before.
    pub fn heal(&self, part: &str) -> bool {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).remove(part).is_some()
    }

    pub fn live(&self) -> HealthReport {
        let age = clock::now_ms() - self.heartbeat_ms.load(Ordering::Relaxed);
        let mut reasons = BTreeMap::new();
        if age > HEARTBEAT_LIMIT_MS {
            reasons.insert("consumer".to_owned(), format!("no turn for {} s", age / 1_000));
        }
        HealthReport { ok: reasons.is_empty(), reasons }
    }

    pub fn ready(&self) -> HealthReport {
        let mut reasons = self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reasons.extend(self.live().reasons);
        HealthReport { ok: reasons.is_empty(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
