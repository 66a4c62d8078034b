//! Counts requests against configured rate limits and words the hints that go with them.
//!
//! LaunchDarkly counts per account (global), per route and per access token, in windows of ten
//! seconds, and tells the client where it stands in `X-Ratelimit-*` headers. It publishes no numbers,
//! so the sandbox has none until it is given some.
//!
//! # Invariants
//! - L1: in one window a limit of n lets n requests through, never n + 1.
//! - L2: a refused request uses up nothing.
//!
//! Not here: the clock (`now_ms` comes in), hints that a fault invents (`reception`).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::refusal::Hints;

/// The window LaunchDarkly documents.
const DEFAULT_WINDOW_MS: u64 = 10_000;

pub(super) const GLOBAL_REMAINING: HeaderName =
    HeaderName::from_static("x-ratelimit-global-remaining");
/// Shared by the global and the route limit, in epoch milliseconds.
pub(super) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const GLOBAL_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-global-limit");
const ROUTE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-route-limit");
const ROUTE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-route-remaining");
const TOKEN_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-auth-token-limit");
const TOKEN_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-auth-token-remaining");
const TOKEN_RESET: HeaderName = HeaderName::from_static("x-ratelimit-auth-token-reset");

/// The limits in force, as written in `PUT /sandbox/limits`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitSettings {
    #[serde(default)]
    limits: Vec<Limit>,
    #[serde(default)]
    hint: HintStyle,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    scope: Scope,
    /// Only requests for this operation; without it, all of them.
    #[serde(default)]
    operation: Option<Operation>,
    #[serde(rename = "limit")]
    requests: u32,
    #[serde(default = "default_window_ms")]
    window_ms: u64,
}

/// Who shares one count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scope {
    Global,
    Route,
    Token,
}

/// What a client is told about its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HintStyle {
    /// Nothing: a bare 429.
    None,
    /// `Retry-After` on a 429.
    RetryAfter,
    /// `X-Ratelimit-*` on every answer.
    #[default]
    RatelimitHeaders,
}

/// Why limits were not taken.
#[derive(Debug, thiserror::Error)]
#[error("limit {index}: `window_ms` must be at least 1")]
pub(super) struct LimitSettingsError {
    index: usize,
}

/// Where a request stands.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) allowed: bool,
    /// To be added to the answer.
    pub(super) hints: Hints,
}

/// The limits and what has been used of them.
#[derive(Debug, Default)]
pub(super) struct Limits {
    settings: LimitSettings,
    /// One per limit: the current window of every sharer.
    used: Vec<HashMap<u64, Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    number: u64,
    used: u32,
}

/// One limit as a request finds it.
struct Reading {
    scope: Scope,
    limit: u32,
    remaining: u32,
    reset_ms: u64,
}

fn default_window_ms() -> u64 {
    DEFAULT_WINDOW_MS
}

// === impl Limits ===

impl Limits {
    /// Replaces the limits and forgets what was used.
    pub(super) fn replace(&mut self, settings: LimitSettings) -> Result<(), LimitSettingsError> {
        if let Some(index) = settings.limits.iter().position(|limit| limit.window_ms == 0) {
            return Err(LimitSettingsError { index });
        }
        self.used = vec![HashMap::new(); settings.limits.len()];
        self.settings = settings;
        Ok(())
    }

    pub(super) fn settings(&self) -> &LimitSettings {
        &self.settings
    }

    /// Counts a request if all limits allow it (L1, L2).
    pub(super) fn admit(&mut self, operation: Operation, token: &str, now_ms: u64) -> Standing {
        let before = self.readings(operation, token, now_ms);
        let allowed = before.iter().all(|reading| reading.remaining > 0);
        if !allowed {
            return Standing { allowed, hints: self.refusal_hints(&before, now_ms) };
        }
        self.count(operation, token, now_ms);
        let after = self.readings(operation, token, now_ms);
        Standing { allowed, hints: self.routine_hints(&after) }
    }

    fn readings(&self, operation: Operation, token: &str, now_ms: u64) -> Vec<Reading> {
        let binding = self.settings.limits.iter().zip(&self.used);
        binding
            .filter(|(limit, _)| limit.binds(operation))
            .map(|(limit, windows)| {
                let number = now_ms / limit.window_ms;
                let window = windows.get(&limit.sharer(operation, token));
                let used = window.filter(|window| window.number == number).map_or(0, |w| w.used);
                Reading {
                    scope: limit.scope,
                    limit: limit.requests,
                    remaining: limit.requests.saturating_sub(used),
                    reset_ms: number.saturating_add(1).saturating_mul(limit.window_ms),
                }
            })
            .collect()
    }

    fn count(&mut self, operation: Operation, token: &str, now_ms: u64) {
        let binding = self.settings.limits.iter().zip(&mut self.used);
        for (limit, windows) in binding.filter(|(limit, _)| limit.binds(operation)) {
            let number = now_ms / limit.window_ms;
            let sharer = limit.sharer(operation, token);
            let window = windows.entry(sharer).or_insert(Window { number, used: 0 });
            if window.number != number {
                *window = Window { number, used: 0 };
            }
            window.used += 1;
        }
    }

    fn refusal_hints(&self, readings: &[Reading], now_ms: u64) -> Hints {
        match self.settings.hint {
            HintStyle::None => Hints::new(),
            HintStyle::RetryAfter => retry_after(readings, now_ms),
            HintStyle::RatelimitHeaders => ratelimit_headers(readings),
        }
    }

    fn routine_hints(&self, readings: &[Reading]) -> Hints {
        match self.settings.hint {
            HintStyle::None | HintStyle::RetryAfter => Hints::new(),
            HintStyle::RatelimitHeaders => ratelimit_headers(readings),
        }
    }
}

// === impl Limit ===

impl Limit {
    fn binds(&self, operation: Operation) -> bool {
        self.operation.is_none_or(|own| own == operation)
    }

    /// Names the count a request shares, without keeping its token.
    fn sharer(&self, operation: Operation, token: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self.scope {
            Scope::Global => {}
            Scope::Route => operation.hash(&mut hasher),
            Scope::Token => token.hash(&mut hasher),
        }
        hasher.finish()
    }
}

// === hints ===

fn retry_after(readings: &[Reading], now_ms: u64) -> Hints {
    let exhausted = readings.iter().filter(|reading| reading.remaining == 0);
    let latest_reset_ms = exhausted.map(|reading| reading.reset_ms).max();
    let seconds = latest_reset_ms.map(|reset_ms| reset_ms.saturating_sub(now_ms).div_ceil(1000));
    seconds.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))).into_iter().collect()
}

fn ratelimit_headers(readings: &[Reading]) -> Hints {
    let mut hints = Hints::new();
    let mut shared_reset_ms = None;
    for reading in readings {
        let (limit, remaining) = match reading.scope {
            Scope::Global => (GLOBAL_LIMIT, GLOBAL_REMAINING),
            Scope::Route => (ROUTE_LIMIT, ROUTE_REMAINING),
            Scope::Token => (TOKEN_LIMIT, TOKEN_REMAINING),
        };
        hints.push((limit, HeaderValue::from(reading.limit)));
        hints.push((remaining, HeaderValue::from(reading.remaining)));
        if reading.scope == Scope::Token {
            hints.push((TOKEN_RESET, HeaderValue::from(reading.reset_ms)));
        } else {
            shared_reset_ms = shared_reset_ms.max(Some(reading.reset_ms));
        }
    }
    hints.extend(shared_reset_ms.map(|reset_ms| (RESET, HeaderValue::from(reset_ms))));
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(settings: &str) -> Limits {
        let mut limits = Limits::default();
        limits.replace(serde_json::from_str(settings).expect("settings")).expect("valid");
        limits
    }

    fn admit(limits: &mut Limits, token: &str, now_ms: u64) -> Standing {
        limits.admit(Operation::MetricImport, token, now_ms)
    }

    fn header_of(standing: &Standing, name: &str) -> Option<u64> {
        let (_, value) = standing.hints.iter().find(|(own, _)| own == name)?;
        Some(value.to_str().expect("text").parse().expect("number"))
    }

    #[test]
    fn a_limit_of_n_lets_n_through_per_window_l1() {
        let mut limits = limits(r#"{"limits":[{"scope":"global","limit":2,"window_ms":100}]}"#);
        let allowed: Vec<_> = [100, 150, 199, 199, 200, 250, 260]
            .into_iter()
            .map(|now| admit(&mut limits, "a", now).allowed)
            .collect();
        assert_eq!(allowed, [true, true, false, false, true, true, false]);
    }

    #[test]
    fn a_refusal_by_one_limit_uses_up_no_other_l2() {
        let mut limits =
            limits(r#"{"limits":[{"scope":"global","limit":3},{"scope":"token","limit":1}]}"#);
        assert!(admit(&mut limits, "a", 0).allowed);
        assert!(!admit(&mut limits, "a", 0).allowed);
        assert!(!admit(&mut limits, "a", 0).allowed);
        assert!(admit(&mut limits, "b", 0).allowed);
        let third = admit(&mut limits, "c", 0);
        assert!(third.allowed);
        assert_eq!(header_of(&third, "x-ratelimit-global-remaining"), Some(0));
    }

    #[test]
    fn headers_tell_where_the_client_stands() {
        let mut limits = limits(
            r#"{"limits":[{"scope":"global","limit":9},{"scope":"route","limit":5,"operation":"metric_import"},
                {"scope":"token","limit":4,"window_ms":1000}]}"#,
        );
        let standing = admit(&mut limits, "a", 12_345);
        for (name, value) in [
            ("x-ratelimit-global-limit", 9),
            ("x-ratelimit-global-remaining", 8),
            ("x-ratelimit-route-limit", 5),
            ("x-ratelimit-route-remaining", 4),
            ("x-ratelimit-reset", 20_000),
            ("x-ratelimit-auth-token-limit", 4),
            ("x-ratelimit-auth-token-remaining", 3),
            ("x-ratelimit-auth-token-reset", 13_000),
        ] {
            assert_eq!(header_of(&standing, name), Some(value), "{name}");
        }
    }

    #[test]
    fn retry_after_counts_whole_seconds_to_the_last_reset() {
        let mut limits =
            limits(r#"{"hint":"retry_after","limits":[{"scope":"global","limit":1}]}"#);
        let allowed = admit(&mut limits, "a", 12_345);
        assert!(allowed.allowed && allowed.hints.is_empty());
        let refused = admit(&mut limits, "a", 12_345);
        assert!(!refused.allowed);
        assert_eq!(header_of(&refused, "retry-after"), Some(8));
    }

    #[test]
    fn a_bare_refusal_says_nothing() {
        let mut limits = limits(r#"{"hint":"none","limits":[{"scope":"route","limit":0}]}"#);
        let refused = admit(&mut limits, "a", 5);
        assert!(!refused.allowed);
        assert!(refused.hints.is_empty());
    }

    #[test]
    fn a_window_without_length_is_refused() {
        let settings = r#"{"limits":[{"scope":"global","limit":1,"window_ms":0}]}"#;
        let settings = serde_json::from_str(settings).expect("settings");
        Limits::default().replace(settings).expect_err("refused");
    }
}
