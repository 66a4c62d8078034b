//! The budgets of all targets: which requests share one, what an answer means for it, and what is told
//! of it.
//!
//! Requests share a budget that go to one server with one token, whatever their targets and operations.
//! A server's outage is shared by all tokens, the user's quota by all servers of a token.
//!
//! [`Paces`] makes the budgets, `destination` tells of outages.
//!
//! Not here: when a request may go (`resilience`), what an answer means for what was sent (`courier`).

mod destination;
mod paces;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::destination::Destination;
pub use self::paces::Paces;
use crate::launchdarkly::answer::{Answered, ApiError, ErrorClass};
use crate::launchdarkly::endpoint::Endpoint;
use crate::launchdarkly::hints::{RateLimit, RateLimits};
use crate::launchdarkly::settings::TargetSettings;
use crate::resilience::budget::{Answer, Budget, Cause, Permit, Status, Verdict};
use crate::resilience::fair::LaneNumber;
use crate::resilience::window::Told;
use crate::telemetry::clock;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Failures in a row that are no everyday noise any more.
pub(super) const FAILURES: u32 = 5;

/// The two of LaunchDarkly's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Events,
    Rest,
}

/// A budget, and what is told of it.
#[derive(Debug)]
pub struct Pacing {
    budget: Budget,
    destination: Arc<Destination>,
    /// The names of the targets that share it, a label of metrics.
    targets: String,
    api: Api,
    /// A hint that is longer than this is told.
    long: Duration,
    metrics: Metrics,
    health: Arc<Health>,
}

// === impl Pacing ===

impl Pacing {
    /// Adds a lane, with its share of turns.
    pub(super) fn lane(&self, priority: u32) -> LaneNumber {
        self.budget.lane(priority)
    }

    /// Waits until a request may be sent.
    pub(super) async fn admit(&self, lane: LaneNumber, endpoint: Endpoint) -> Permit<'_> {
        let permit = self.budget.admit(lane, endpoint.as_str()).await;
        for (cause, waited) in &permit.waits {
            let labels = [self.targets.as_str(), self.api.as_str(), cause.as_str()];
            self.metrics.throttle_seconds.with_label_values(&labels).inc_by(waited.as_secs_f64());
        }
        permit
    }

    /// Takes in what came back.
    pub(super) fn answered<T>(&self, permit: Permit<'_>, answer: &Result<Answered<T>, ApiError>) {
        let told = match answer {
            Ok(Answered { limits, hint, .. }) => answer_of(Verdict::Answered, *limits, *hint),
            Err(error) => answer_of(verdict(error.class), *error.limits, error.hint),
        };
        if let Err(error) = answer
            && told.verdict == Verdict::Failed
        {
            self.destination.failed(error);
        }
        if let Some(turn) = permit.answered(&told) {
            self.destination.tell(turn);
        }
        let status = self.budget.status();
        if let Some(hint) = told.hint.filter(|hint| *hint > self.long) {
            self.tell_long_hint(hint);
        } else if told.verdict == Verdict::Answered && status.parked_until.is_none() {
            // What was sent before the hint came says nothing about it.
            self.tell_hint_passed();
        }
        self.show(&status);
    }

    /// Takes over what the server has asked for from the budget in whose place this one comes. Told is it
    /// when this one is in force.
    pub fn inherit(&self, before: &Self) {
        if let Some(until) = before.budget.status().parked_until {
            self.budget.park(until);
        }
    }

    /// Tells of a hint that was taken over.
    fn tell_inherited(&self) {
        let status = self.budget.status();
        let Some(until) = status.parked_until else { return };
        let left = until.saturating_duration_since(Instant::now());
        if left > self.long {
            self.tell_long_hint(left);
        }
        self.show(&status);
    }

    /// Whether the server is down, so that only probes go out.
    pub(super) fn is_down(&self) -> bool {
        self.budget.is_down()
    }

    /// Why the server was taken for down last.
    pub(super) fn last_failure(&self) -> Option<ApiError> {
        self.destination.last_failure()
    }

    fn tell_long_hint(&self, hint: Duration) {
        let reason = format!("LaunchDarkly asked not to be sent anything for {} s", hint.as_secs());
        if self.health.fault(&self.hint_part(), reason) {
            tracing::warn!(
                target_name = self.targets,
                api = self.api.as_str(),
                seconds = hint.as_secs(),
                "LaunchDarkly asks for a pause longer than `retry_max`; it is obeyed"
            );
        }
    }

    fn tell_hint_passed(&self) {
        if self.health.heal(&self.hint_part()) {
            tracing::info!(
                target_name = self.targets,
                api = self.api.as_str(),
                "the hint has passed"
            );
        }
    }

    /// The part's name in `/ready`.
    fn hint_part(&self) -> String {
        format!("target {}, {} api, hint", self.targets, self.api.as_str())
    }

    /// Begins every series, so that there is none that hides its first event.
    fn declare_series(&self) {
        for cause in Cause::ALL {
            let labels = [self.targets.as_str(), self.api.as_str(), cause.as_str()];
            self.metrics.throttle_seconds.with_label_values(&labels);
        }
        self.show(&self.budget.status());
    }

    fn show(&self, status: &Status) {
        let labels = [self.targets.as_str(), self.api.as_str()];
        let metrics = &self.metrics;
        metrics.concurrency_limit.with_label_values(&labels).set(status.concurrency.into());
        let now = Instant::now();
        let parked = status.parked_until.map(|until| until.saturating_duration_since(now));
        let until = parked.map_or(0.0, |left| clock::now_seconds() + left.as_secs_f64());
        metrics.hint_until.with_label_values(&labels).set(until);
        for (limit, level) in &status.levels {
            let labels = [self.targets.as_str(), self.api.as_str(), *limit];
            metrics.budget_limit.with_label_values(&labels).set(level.limit.into());
            metrics.budget_remaining.with_label_values(&labels).set(level.remaining.into());
            metrics.budget_reserve.with_label_values(&labels).set(level.reserve.into());
        }
    }
}

fn answer_of(verdict: Verdict, limits: RateLimits, hint: Option<Duration>) -> Answer {
    let told = |told: RateLimit| {
        let RateLimit { limit, remaining, reset_ms, reset_in } = told;
        Told { limit, remaining, reset_ms, reset_in }
    };
    Answer {
        verdict,
        account: told(limits.global),
        endpoint: told(limits.route),
        token: told(limits.token),
        hint,
    }
}

fn verdict(class: ErrorClass) -> Verdict {
    match class {
        ErrorClass::Throttled => Verdict::Throttled,
        ErrorClass::Network | ErrorClass::Unavailable => Verdict::Failed,
        ErrorClass::Conflict | ErrorClass::Refused | ErrorClass::Misconfigured => Verdict::Answered,
    }
}

// === impl Api ===

impl Api {
    fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Rest => "rest",
        }
    }

    fn url(self, target: &TargetSettings) -> &str {
        match self {
            Self::Events => &target.events_url,
            Self::Rest => &target.api_url,
        }
    }
}
