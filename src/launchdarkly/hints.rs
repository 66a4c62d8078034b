//! What an answer's headers ask us to wait, and what they say is left to send.
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
//! - H2: a reset in the past is no hint, never a negative wait.
//! - H3: what it is asked to wait for is told by the server's clock (`Date`) where it differs from ours.

use std::time::Duration;

use reqwest::header::HeaderMap;

/// The limits a request was counted against. A limit that is not told may exist all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// All tokens of the account, all requests.
    pub global: RateLimit,
    /// All tokens of the account, this method and kind of address.
    pub route: RateLimit,
    /// This token only.
    pub token: RateLimit,
}

/// One limit as far as it was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per window.
    pub limit: Option<u32>,
    /// Requests left in this window.
    pub remaining: Option<u32>,
    /// When the window ends, by the server's clock: Unix time in milliseconds.
    pub reset_ms: Option<i64>,
    /// How long that was when the answer came; `None` when it was past and the server does not tell its
    /// time, for then the clocks may differ.
    pub reset_in: Option<Duration>,
}

/// Reads what an answer tells about the limits. `now_ms` is the Unix time in milliseconds.
pub fn rate_limits(headers: &HeaderMap, now_ms: i64) -> RateLimits {
    let now_ms = server_now_ms(headers, now_ms);
    let past = headers.contains_key("date").then_some(Duration::ZERO);
    let limit = |limit, remaining, reset| {
        let reset_ms = integer(headers, reset);
        RateLimit {
            limit: count(headers, limit),
            remaining: count(headers, remaining),
            reset_ms,
            reset_in: reset_ms.and_then(|reset_ms| until(reset_ms, now_ms).or(past)),
        }
    };
    RateLimits {
        global: limit(
            "x-ratelimit-global-limit",
            "x-ratelimit-global-remaining",
            "x-ratelimit-reset",
        ),
        route: limit("x-ratelimit-route-limit", "x-ratelimit-route-remaining", "x-ratelimit-reset"),
        token: limit(
            "x-ratelimit-auth-token-limit",
            "x-ratelimit-auth-token-remaining",
            "x-ratelimit-auth-token-reset",
        ),
    }
}

/// Reads the pause that an answer asks for. `now_ms` is the Unix time in milliseconds.
pub fn pause(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let RateLimits { global, route, token } = rate_limits(headers, now_ms);
    let now_ms = server_now_ms(headers, now_ms);
    [global, route, token]
        .into_iter()
        .filter(|limit| limit.remaining == Some(0))
        .filter_map(|limit| limit.reset_in.filter(|wait| !wait.is_zero()))
        .chain(retry_after(headers, now_ms))
        .max()
}

/// The server's time as its answer tells it, to the second; ours when the two agree, for it is finer.
fn server_now_ms(headers: &HeaderMap, now_ms: i64) -> i64 {
    /// `Date` is cut to the second, and the answer took a moment to arrive.
    const AGREE_MS: i64 = 1_500;
    let date_ms = headers.get("date").and_then(|date| date_ms(date.to_str().ok()?));
    match date_ms {
        Some(date_ms) if !(0..=AGREE_MS).contains(&now_ms.saturating_sub(date_ms)) => date_ms,
        Some(_) | None => now_ms,
    }
}

fn date_ms(text: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(date.as_millisecond())
}

fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    until(date_ms(text)?, now_ms)
}

fn until(at_ms: i64, now_ms: i64) -> Option<Duration> {
    let wait = u64::try_from(at_ms.saturating_sub(now_ms)).ok()?;
    (wait > 0).then(|| Duration::from_millis(wait))
}

/// A count; what is below zero is spent, what is too large for the type is as good as unlimited.
fn count(headers: &HeaderMap, name: &str) -> Option<u32> {
    let count = integer(headers, name)?.max(0);
    Some(u32::try_from(count).unwrap_or(u32::MAX))
}

fn integer(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_767_225_600_000;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let headers = pairs.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
        });
        headers.collect()
    }

    fn of(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        pause(&headers(pairs), NOW_MS)
    }

    #[test]
    fn limits_are_told_apart_and_gaps_stay_gaps() {
        let headers = headers(&[
            ("x-ratelimit-global-limit", "1000"),
            ("x-ratelimit-global-remaining", "999"),
            ("x-ratelimit-route-remaining", "-1"),
            ("x-ratelimit-reset", "1767225605000"),
            ("x-ratelimit-auth-token-limit", "99999999999"),
            ("x-ratelimit-auth-token-reset", "soon"),
        ]);
        let told = rate_limits(&headers, NOW_MS);
        let reset_in = Some(Duration::from_secs(5));
        let reset_ms = Some(1_767_225_605_000);
        let global = RateLimit { limit: Some(1_000), remaining: Some(999), reset_ms, reset_in };
        assert_eq!(told.global, global);
        assert_eq!(told.route, RateLimit { limit: None, remaining: Some(0), reset_ms, reset_in });
        let token = RateLimit { limit: Some(u32::MAX), ..RateLimit::default() };
        assert_eq!(told.token, token);
        assert_eq!(rate_limits(&HeaderMap::new(), NOW_MS), RateLimits::default());
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
            // Our clock is a minute behind the server's, and then three ahead (H3).
            (
                vec![
                    ("date", "Thu, 01 Jan 2026 00:01:00 GMT"),
                    ("retry-after", "Thu, 01 Jan 2026 00:01:04 GMT"),
                ],
                Some(4_000),
            ),
            (
                vec![
                    ("date", "Wed, 31 Dec 2025 23:57:00 GMT"),
                    ("x-ratelimit-reset", "1767225427000"),
                    ("x-ratelimit-global-remaining", "0"),
                ],
                Some(7_000),
            ),
            (vec![("date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("retry-after", "9")], Some(9_000)),
        ] {
            assert_eq!(of(&headers), expected.map(Duration::from_millis), "{headers:?}");
        }
    }
}
