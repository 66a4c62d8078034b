//! Waits for a state to be reached, looking at the state itself again and again.
//!
//! Level-triggered: a probe asks "is it so now?", so a change that came before the wait began is not
//! missed, and no test sleeps for a time somebody guessed. A wait that ends badly says what it saw
//! last, which is usually the whole diagnosis.
//!
//! Never under paused time together with real I/O: the paused clock jumps to the deadline while the
//! other side is still at work.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

/// Short enough that a wait adds no time anyone notices, long enough not to compete with what it
/// waits for on a machine of two cores.
const INTERVAL: Duration = Duration::from_millis(25);

/// What one look can answer: the awaited value, or why it is not there yet.
pub(crate) trait Look {
    type Seen;

    fn seen(self) -> Result<Self::Seen, String>;
}

// === impl Look ===

impl<T, E: Display> Look for Result<T, E> {
    type Seen = T;

    fn seen(self) -> Result<T, String> {
        self.map_err(|reason| reason.to_string())
    }
}

impl<T> Look for Option<T> {
    type Seen = T;

    fn seen(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing there".to_owned())
    }
}

impl Look for bool {
    type Seen = ();

    fn seen(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "still false".to_owned())
    }
}

/// Calls `probe` until it sees what is awaited, and returns that.
///
/// `what` completes the sentence "waited for …". A probe that hangs is cut off at the deadline too.
///
/// # Panics
/// When `within` has passed, with the caller's place and the last reason the probe gave.
#[track_caller]
pub(crate) fn eventually<P, L>(
    within: Duration,
    what: &str,
    mut probe: P,
) -> impl Future<Output = L::Seen>
where
    P: AsyncFnMut() -> L,
    L: Look,
{
    let caller = Location::caller();
    async move {
        let deadline = Instant::now() + within;
        let mut last = "the first look never returned".to_owned();
        // The look at the deadline itself is the last one, and it counts.
        while let Ok(look) = timeout_at(deadline, probe()).await {
            match look.seen() {
                Ok(seen) => return seen,
                Err(reason) => last = reason,
            }
            if Instant::now() >= deadline {
                break;
            }
            sleep_until(deadline.min(Instant::now() + INTERVAL)).await;
        }
        panic!("{caller}: waited {within:?} for {what}; last seen: {last}");
    }
}
