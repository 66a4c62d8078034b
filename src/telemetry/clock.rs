//! The wall clock: for the age of records and the resets servers name, never for what is sent.

use std::time::{SystemTime, UNIX_EPOCH};

/// The Unix time in milliseconds.
#[expect(clippy::disallowed_methods, reason = "this is where the wall clock enters")]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The same in nanoseconds, as OpenTelemetry wants it.
#[expect(clippy::disallowed_methods, reason = "this is where the wall clock enters")]
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The same in seconds, as Prometheus wants it.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double exactly")]
pub fn now_seconds() -> f64 {
    now_ms() as f64 / 1_000.0
}
