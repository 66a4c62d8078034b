//! Stops a lane whose requests cannot succeed until a person mends something, and finds out when
//! they have.
//!
//! While halted, one request at a time goes out as a probe, every `probe_interval`; the others wait.
//! The first probe that is answered otherwise opens the gate for all.
//!
//! # Invariants
//! - G1: while halted at most one request is under way, and probes start at least
//!   `probe_interval` apart.
//! - G2: a record that waits at the gate is neither lost nor refused (P7).
//!
//! Not here: what the server asks for (`budget`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, MutexGuard, watch};
use tokio::time::{Instant, sleep_until};

/// The gate of one lane.
#[derive(Debug)]
pub struct Gate {
    probe_interval: Duration,
    halted: watch::Sender<bool>,
    next_probe: Mutex<Instant>,
    halts: Mutex<Halts>,
    baton: AsyncMutex<()>,
}

/// For how long the gate was halted.
#[derive(Debug, Default)]
struct Halts {
    /// In all that are over.
    ended: Duration,
    /// When the present one began.
    since: Option<Instant>,
}

/// The right to send one request.
#[derive(Debug)]
pub struct Pass<'g> {
    /// Held by a probe, so that there is only one.
    baton: Option<MutexGuard<'g, ()>>,
}

impl Gate {
    pub fn new(probe_interval: Duration) -> Self {
        Self {
            probe_interval,
            halted: watch::Sender::new(false),
            next_probe: Mutex::new(Instant::now()),
            halts: Mutex::default(),
            baton: AsyncMutex::new(()),
        }
    }

    pub fn is_halted(&self) -> bool {
        *self.halted.borrow()
    }

    /// Waits until a request may be sent.
    pub async fn pass(&self) -> Pass<'_> {
        let mut halted = self.halted.subscribe();
        loop {
            if !*halted.borrow_and_update() {
                return Pass { baton: None };
            }
            let probe = async {
                let baton = self.baton.lock().await;
                sleep_until(self.next_probe()).await;
                baton
            };
            tokio::select! {
                // The sender lives in `self`, so the channel cannot close.
                _ = halted.changed() => {}
                baton = probe => return Pass { baton: Some(baton) },
            }
        }
    }

    fn next_probe(&self) -> Instant {
        *self.next_probe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the gate. Gives whether it was open before.
    pub fn halt(&self) -> bool {
        *self.next_probe.lock().unwrap_or_else(PoisonError::into_inner) =
            Instant::now() + self.probe_interval;
        self.halts().since.get_or_insert_with(Instant::now);
        !self.halted.send_replace(true)
    }

    /// Opens the gate. Gives whether it was closed before.
    pub fn resume(&self) -> bool {
        let mut halts = self.halts();
        let since = halts.since.take();
        halts.ended += since.map_or(Duration::ZERO, |since| since.elapsed());
        drop(halts);
        self.is_halted() && self.halted.send_replace(false)
    }

    /// For how long it has been halted, all in all.
    pub fn halted_for(&self) -> Duration {
        let halts = self.halts();
        halts.ended + halts.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn halts(&self) -> std::sync::MutexGuard<'_, Halts> {
        self.halts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Pass ===

impl Pass<'_> {
    /// Whether it still holds: one that was given before the gate closed does not.
    pub fn is_valid(&self, gate: &Gate) -> bool {
        self.baton.is_some() || !gate.is_halted()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn an_open_gate_lets_everyone_through() {
        let gate = Gate::new(INTERVAL);
        let one = gate.pass().await;
        let two = gate.pass().await;
        assert!(one.is_valid(&gate));
        assert!(!gate.resume(), "it was not halted");
        gate.halt();
        assert!(!two.is_valid(&gate));
        assert!(gate.pass().await.is_valid(&gate), "a probe");
    }

    #[tokio::test(start_paused = true)]
    async fn a_halted_gate_lets_one_probe_out_per_interval() {
        let gate = Gate::new(INTERVAL);
        assert!(gate.halt());
        assert!(!gate.halt(), "halting twice is one event");
        let start = Instant::now();
        let probe = gate.pass().await;
        assert_eq!(start.elapsed(), INTERVAL);
        assert!(gate.pass().now_or_never().is_none(), "G1: only one probe");
        gate.halt();
        drop(probe);
        let second = gate.pass().await;
        assert_eq!(start.elapsed(), INTERVAL * 2);
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn resuming_frees_all_that_wait() {
        let gate = Arc::new(Gate::new(INTERVAL));
        gate.halt();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let gate = Arc::clone(&gate);
            waiting.spawn(async move { drop(gate.pass().await) });
        }
        let probe = gate.pass().await;
        assert!(gate.resume());
        drop(probe);
        while let Some(ended) = waiting.join_next().await {
            ended.unwrap();
        }
    }
}
