//! Where the server's clock stands against ours.
//!
//! Clocks of the day are believed until they are found wrong, and not needed: an answer that names a
//! reset was given within the window before it, so every answer narrows it down.

use std::time::Duration;

use tokio::time::Instant;

/// Clocks of the day are believed to be right within this.
const BELIEF_MS: i64 = 50;

/// How many milliseconds the server's clock is ahead of ours, between two bounds.
#[derive(Debug)]
pub(super) struct ServerClock {
    zero: Instant,
    ahead: Option<(i64, i64)>,
    /// Whether the clocks of the day were found wrong.
    distrust: bool,
}

impl ServerClock {
    pub(super) fn new(now: Instant) -> Self {
        Self { zero: now, ahead: None, distrust: false }
    }

    /// Notes that the clock was elsewhere, and begins anew. Gives whether the clocks of the day were
    /// out of the question already.
    pub(super) fn was_wrong(&mut self) -> bool {
        self.ahead = None;
        std::mem::replace(&mut self.distrust, true)
    }

    /// Begins with what the clocks of the day say.
    pub(super) fn believe(&mut self, reset_ms: i64, reset_in: Option<Duration>, now: Instant) {
        if self.ahead.is_some() || self.distrust {
            return;
        }
        self.ahead = reset_in.map(|wait| {
            let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            let ahead = reset_ms.saturating_sub(wait_ms).saturating_sub(self.ours(now));
            (ahead.saturating_sub(BELIEF_MS), ahead.saturating_add(BELIEF_MS))
        });
    }

    /// The answer was made while its request was under way, and in the window before its reset.
    pub(super) fn narrow(&mut self, reset_ms: i64, length: Duration, sent: Instant, now: Instant) {
        let length_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let least = reset_ms.saturating_sub(length_ms).saturating_sub(self.ours(now));
        let most = reset_ms.saturating_sub(self.ours(sent));
        let both = self.ahead.map(|(low, high)| (low.max(least), high.min(most)));
        // Bounds that exclude each other: one of the clocks was set. The newest answer counts.
        self.ahead = Some(both.filter(|(low, high)| low <= high).unwrap_or((least, most)));
    }

    /// The latest time of ours at which it is that late at the server's.
    pub(super) fn latest(&self, server_ms: i64) -> Instant {
        let (least, _) = self.ahead.unwrap_or_default();
        let ours = u64::try_from(server_ms.saturating_sub(least)).unwrap_or_default();
        // No later than a clock can tell: a year is for ever here.
        let longest = 365 * 86_400 * 1_000;
        self.zero + Duration::from_millis(ours.min(longest))
    }

    fn ours(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.zero);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
