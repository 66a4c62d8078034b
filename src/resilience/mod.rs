//! How we behave towards a server that is slow, busy or refusing.
//!
//! Decisions are state machines that are told what happened and when: [`window`] reads what the
//! server says is left, [`guess`] stands in where it says nothing, [`concurrency`] bounds requests
//! under way, [`outage`] keeps a server that is down from being hammered, [`fair`] says whose turn it
//! is. [`budget`] asks all of them and is waited for, like the [`gate`] of a lane. [`retry`] says how
//! long to pause, [`quota`] is the user's own limit.

pub mod budget;
pub mod concurrency;
pub mod fair;
pub mod gate;
pub mod guess;
pub mod outage;
pub mod quota;
pub mod retry;
pub mod window;

use std::time::Duration;

use tokio::time::Instant;

/// A time so much later, or ten years when that is beyond what the clock can tell.
fn after(now: Instant, pause: Duration) -> Instant {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    now.checked_add(pause).unwrap_or(now + TEN_YEARS)
}
