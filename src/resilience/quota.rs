//! The user's own limit on requests. The only file that names the `governor` crate.
//!
//! # Invariants
//! - Q1: within t seconds at most `burst` + t × `per_second` requests are let through.
//!
//! Not here: who is let through (`budget`).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// Paces requests; shared by all that use the same credentials. Without a limit it lets all through.
#[derive(Debug, Clone, Default)]
pub struct RequestQuota {
    limiter: Option<Arc<Limiter>>,
}

#[derive(Debug)]
struct Limiter {
    cells: RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Duration>>,
    clock: RuntimeClock,
}

/// The runtime's clock, so that a paused clock pauses the quota as well.
#[derive(Debug, Clone, Copy)]
struct RuntimeClock {
    start: Instant,
}

// === impl RequestQuota ===

impl RequestQuota {
    /// Allows `per_second` requests a second, and `burst` at once after a pause, by default as many.
    pub fn new(per_second: Option<NonZeroU32>, burst: Option<NonZeroU32>) -> Self {
        let limiter = |rate| {
            let clock = RuntimeClock { start: Instant::now() };
            let quota = Quota::per_second(rate).allow_burst(burst.unwrap_or(rate));
            Arc::new(Limiter { cells: RateLimiter::direct_with_clock(quota, clock), clock })
        };
        Self { limiter: per_second.map(limiter) }
    }

    /// Takes leave for one request, or tells how long there is none.
    pub fn take(&self) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let wait = |none: governor::NotUntil<Duration>| none.wait_time_from(limiter.clock.now());
        limiter.cells.check().map_err(wait)
    }
}

// === impl RuntimeClock ===

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn taken(quota: &RequestQuota) -> usize {
        (0..1_000).take_while(|_| quota.take().is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn the_quota_is_used_up_and_fills_again_q1() {
        let quota = RequestQuota::new(NonZeroU32::new(4), NonZeroU32::new(10));
        assert_eq!(taken(&quota), 10);
        let wait = quota.clone().take().unwrap_err();
        assert!(wait > Duration::ZERO && wait <= SECOND / 4, "{wait:?}");
        tokio::time::advance(SECOND).await;
        assert_eq!(taken(&quota), 4);
        tokio::time::advance(SECOND * 60).await;
        assert_eq!(taken(&quota), 10);
        assert_eq!(taken(&RequestQuota::new(NonZeroU32::new(3), None)), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_never_waits() {
        assert_eq!(taken(&RequestQuota::new(None, None)), 1_000);
    }
}
