//! What an answer's headers ask us to wait.
//!
//! - `Retry-After`: seconds, or an HTTP date.
//! - `X-Ratelimit-Reset` with `X-Ratelimit-Global-Remaining` or `-Route-Remaining`, and
//!   `X-Ratelimit-Auth-Token-Reset` with `-Auth-Token-Remaining`: resets are Unix times in
//!   milliseconds and count when nothing remains.
//!
//! Source: <https://launchdarkly.com/docs/api>, section rate limiting.
//!
//! # Invariants
//! - H1: the longest of several hints counts.
//! - H2: a reset in the past (skewed clocks) is no hint, never a negative wait.

use std::time::Duration;

use reqwest::header::HeaderMap;

/// Reads the pause that an answer asks for. `now_ms` is the Unix time in milliseconds.
pub fn pause(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let resets = [
        ("x-ratelimit-global-remaining", "x-ratelimit-reset"),
        ("x-ratelimit-route-remaining", "x-ratelimit-reset"),
        ("x-ratelimit-auth-token-remaining", "x-ratelimit-auth-token-reset"),
    ];
    resets
        .into_iter()
        .filter(|(remaining, _)| integer(headers, remaining).is_some_and(|n| n <= 0))
        .filter_map(|(_, reset)| until(integer(headers, reset)?, now_ms))
        .chain(retry_after(headers, now_ms))
        .max()
}

fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    until(date.as_millisecond(), now_ms)
}

fn until(at_ms: i64, now_ms: i64) -> Option<Duration> {
    let wait = u64::try_from(at_ms.saturating_sub(now_ms)).ok()?;
    (wait > 0).then(|| Duration::from_millis(wait))
}

fn integer(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_767_225_600_000;

    fn of(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = pairs.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
        });
        pause(&headers.collect(), NOW_MS)
    }

    #[test]
    fn hints_in_every_form() {
        let soon = (NOW_MS + 2_500).to_string();
        let later = (NOW_MS + 7_000).to_string();
        for (headers, expected) in [
            (vec![], None),
            (vec![("retry-after", "3")], Some(3_000)),
            (vec![("retry-after", "Thu, 01 Jan 2026 00:00:09 GMT")], Some(9_000)),
            (vec![("retry-after", "Thu, 01 Jan 2026 00:00:00 GMT")], None),
            (vec![("retry-after", "soon")], None),
            (vec![("x-ratelimit-reset", &soon)], None),
            (vec![("x-ratelimit-reset", &soon), ("x-ratelimit-route-remaining", "3")], None),
            (vec![("x-ratelimit-reset", &soon), ("x-ratelimit-route-remaining", "0")], Some(2_500)),
            (
                vec![
                    ("x-ratelimit-reset", &soon),
                    ("x-ratelimit-global-remaining", "0"),
                    ("x-ratelimit-auth-token-reset", &later),
                    ("x-ratelimit-auth-token-remaining", "0"),
                    ("retry-after", "4"),
                ],
                Some(7_000),
            ),
            (vec![("x-ratelimit-reset", "1"), ("x-ratelimit-global-remaining", "0")], None),
        ] {
            assert_eq!(of(&headers), expected.map(Duration::from_millis), "{headers:?}");
        }
    }
}
