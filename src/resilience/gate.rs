//! Stops a lane whose requests cannot succeed until a person mends something, and finds out when
//! they have. Holds a lane back for as long as the server asked for.
//!
//! While halted, one request at a time goes out as a probe, every `probe_interval`; the others wait.
//! The first probe that is answered otherwise opens the gate for all. A hold passes by itself.
//!
//! # Invariants
//! - G1: while halted at most one request is under way, and probes start at least
//!   `probe_interval` apart.
//! - G2: a record that waits at the gate is neither lost nor refused (P7).
//! - G3: until a hold has passed nobody passes, not even a probe; a shorter hold never shortens a
//!   longer one (P6).

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
    held_until: Mutex<Instant>,
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
    _baton: Option<MutexGuard<'g, ()>>,
}

impl Gate {
    pub fn new(probe_interval: Duration) -> Self {
        Self {
            probe_interval,
            halted: watch::Sender::new(false),
            next_probe: Mutex::new(Instant::now()),
            held_until: Mutex::new(Instant::now()),
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
            self.released().await;
            if !*halted.borrow_and_update() {
                return Pass { _baton: None };
            }
            let probe = async {
                let baton = self.baton.lock().await;
                sleep_until(self.next_probe()).await;
                self.released().await;
                baton
            };
            tokio::select! {
                // The sender lives in `self`, so the channel cannot close.
                _ = halted.changed() => {}
                baton = probe => return Pass { _baton: Some(baton) },
            }
        }
    }

    /// Lets nobody pass for this long.
    pub fn hold(&self, pause: Duration) {
        // A wait beyond what the clock can tell is no less than a day.
        let day = Duration::from_secs(86_400);
        let now = Instant::now();
        let until = now.checked_add(pause).unwrap_or(now + day);
        let mut held = self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        *held = until.max(*held);
    }

    /// Waits until no hold is left, however often it is prolonged meanwhile.
    async fn released(&self) {
        loop {
            let until = *self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
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
        drop((one, two));
        assert!(!gate.resume(), "it was not halted");
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
    async fn a_hold_is_for_everyone_and_never_shortened_g3() {
        const HINT: Duration = Duration::from_secs(3);
        let gate = Gate::new(INTERVAL);
        gate.hold(HINT);
        gate.hold(HINT / 2);
        let start = Instant::now();
        drop(tokio::join!(gate.pass(), gate.pass()));
        assert_eq!(start.elapsed(), HINT);
        drop(gate.pass().await);
        assert_eq!(start.elapsed(), HINT, "it passes by itself");
        // A probe is a request like any other.
        gate.halt();
        gate.hold(INTERVAL * 2);
        drop(gate.pass().await);
        assert_eq!(start.elapsed(), HINT + INTERVAL * 2);
        // Prolonged while somebody waits.
        gate.resume();
        gate.hold(HINT);
        let (waited, ()) = tokio::join!(gate.pass(), async { gate.hold(HINT * 2) });
        drop(waited);
        assert_eq!(start.elapsed(), HINT + INTERVAL * 2 + HINT * 2);
        gate.hold(Duration::MAX);
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
