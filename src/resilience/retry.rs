//! How long to pause before the next attempt. The only file that names the `backoff` crate.
//!
//! # Invariants
//! - Y1: a pause is never shorter than what the server asked for, however long that is.
//! - Y2: pauses grow to `max` and stay there; they never overflow and never end.

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;

/// Growth from pause to pause.
const MULTIPLIER: f64 = 2.0;
/// Pauses are spread over ±50 %, so that clients that failed together do not return together.
const JITTER: f64 = 0.5;

/// The pauses of one request.
#[derive(Debug)]
pub struct RetryPauses {
    backoff: backoff::ExponentialBackoff,
    max: Duration,
}

impl RetryPauses {
    /// Begins with about `initial` and grows to about `max`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        let backoff = ExponentialBackoffBuilder::new()
            .with_initial_interval(initial)
            .with_max_interval(max)
            .with_multiplier(MULTIPLIER)
            .with_randomization_factor(JITTER)
            // For ever: giving up is a decision of the route, not of the clock.
            .with_max_elapsed_time(None)
            .build();
        Self { backoff, max }
    }

    /// Gives the next pause, at least as long as the server's hint.
    pub fn next(&mut self, hint: Option<Duration>) -> Duration {
        let own = self.backoff.next_backoff().unwrap_or(self.max);
        hint.map_or(own, |hint| hint.saturating_add(own.min(hint / 10)).max(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_maximum_and_go_on_for_ever() {
        let (initial, max) = (Duration::from_millis(200), Duration::from_secs(60));
        let mut pauses = RetryPauses::new(initial, max);
        let first = pauses.next(None);
        assert!(first >= initial / 2 && first <= initial * 3 / 2, "{first:?}");
        let mut last = first;
        for _ in 0..10_000 {
            last = pauses.next(None);
            assert!(last <= max * 3 / 2);
        }
        assert!(last >= max / 2, "{last:?}");
    }

    #[test]
    fn a_hint_is_never_shortened() {
        let mut pauses = RetryPauses::new(Duration::from_millis(10), Duration::from_millis(20));
        for seconds in [1, 60, 86_400] {
            let hint = Duration::from_secs(seconds);
            let pause = pauses.next(Some(hint));
            assert!(pause >= hint && pause <= hint * 11 / 10, "{pause:?}");
        }
    }
}
