//! Reads the wall clock, the one place in the sandbox that does.
//!
//! Reset times and the journal speak in epoch milliseconds. Everything that decides takes `now` as
//! an argument, so that its tests choose the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the milliseconds since the Unix epoch; zero if the host's clock stands before it.
#[expect(clippy::disallowed_methods, reason = "the sandbox's single reading of the wall clock")]
pub(super) fn epoch_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Writes a time as RFC 3339.
pub(super) fn date_of(epoch_ms: u64) -> String {
    let ms = i64::try_from(epoch_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_string()
}
