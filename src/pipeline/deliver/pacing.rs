//! The budgets of all targets: which requests share one, what an answer means for it, and what is told
//! of it.
//!
//! Requests share a budget that go to one server with one token, whatever their targets and operations.
//! A server's outage is shared by all tokens, the user's quota by all servers of a token.
//!
//! Not here: when a request may go (`resilience`), what an answer means for what was sent (`courier`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::launchdarkly::answer::{Answered, ApiError, ErrorClass};
use crate::launchdarkly::endpoint::Endpoint;
use crate::launchdarkly::hints::{RateLimit, RateLimits};
use crate::launchdarkly::settings::TargetSettings;
use crate::pipeline::settings::DeliverySettings;
use crate::resilience::budget::{Answer, Budget, BudgetSettings, Cause, Permit, Server, Verdict};
use crate::resilience::fair::LaneNumber;
use crate::resilience::outage::{Condition, OutageSettings, Turn};
use crate::resilience::quota::RequestQuota;
use crate::resilience::window::Told;
use crate::telemetry::clock;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Failures in a row that are no everyday noise any more.
pub(super) const FAILURES: u32 = 5;

/// The budgets of all targets, in their order.
#[derive(Debug)]
pub struct Paces {
    pub events: Vec<Arc<Pacing>>,
    pub rest: Vec<Arc<Pacing>>,
}

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
    /// The names of the targets that share it, a label of metrics.
    targets: String,
    api: Api,
    /// A hint that is longer than this is told.
    long: Duration,
    metrics: Metrics,
    health: Arc<Health>,
    last_failure: Mutex<Option<ApiError>>,
}

// === impl Paces ===

impl Paces {
    pub fn new(
        targets: &[TargetSettings],
        delivery: &DeliverySettings,
        metrics: &Metrics,
        health: &Arc<Health>,
    ) -> Self {
        let outage = OutageSettings {
            failures: FAILURES,
            pause: delivery.retry_initial,
            longest_pause: delivery.retry_max,
        };
        let quota = || RequestQuota::new(delivery.requests_per_second, delivery.burst);
        let quotas = shared(targets, TargetSettings::has_token_of, |_| quota());
        let of = |api: Api| {
            let same_url =
                |one: &TargetSettings, other: &TargetSettings| api.url(one) == api.url(other);
            let servers = shared(targets, same_url, |_| Arc::new(Server::new(outage)));
            let same = |one: &TargetSettings, other: &TargetSettings| {
                same_url(one, other) && one.has_token_of(other)
            };
            shared(targets, same, |at| {
                let first = targets.get(at);
                let sharers =
                    targets.iter().filter(|other| first.is_some_and(|it| same(it, other)));
                let names: Vec<&str> = sharers.map(|target| target.name.as_str()).collect();
                let settings = BudgetSettings {
                    reserve: f64::from(delivery.reserve_percent) / 100.0,
                    concurrency: delivery.concurrency.saturating_mul(names.len().max(1)),
                    pause: delivery.retry_initial,
                };
                let quota = quotas.get(at).cloned().unwrap_or_default();
                let server =
                    servers.get(at).cloned().unwrap_or_else(|| Arc::new(Server::new(outage)));
                let pacing = Pacing {
                    budget: Budget::new(settings, quota, server),
                    targets: names.join("+"),
                    api,
                    long: delivery.retry_max,
                    metrics: metrics.clone(),
                    health: Arc::clone(health),
                    last_failure: Mutex::default(),
                };
                pacing.declare_series();
                Arc::new(pacing)
            })
        };
        Self { events: of(Api::Events), rest: of(Api::Rest) }
    }
}

/// One value per target; those that are the same share that of the first.
fn shared<T: Clone>(
    targets: &[TargetSettings],
    same: impl Fn(&TargetSettings, &TargetSettings) -> bool,
    make: impl Fn(usize) -> T,
) -> Vec<T> {
    let mut made: Vec<T> = Vec::with_capacity(targets.len());
    for (at, target) in targets.iter().enumerate() {
        let first = targets.iter().take(at).position(|other| same(other, target));
        let value = first.and_then(|first| made.get(first).cloned()).unwrap_or_else(|| make(at));
        made.push(value);
    }
    made
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
            *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
        if let Some(turn) = permit.answered(&told) {
            self.tell_turn(turn);
        }
        if let Some(hint) = told.hint.filter(|hint| *hint > self.long) {
            self.tell_long_hint(hint);
        } else if told.verdict == Verdict::Answered && self.health.heal(&self.part("hint")) {
            tracing::info!(
                target_name = self.targets,
                api = self.api.as_str(),
                "the hint has passed"
            );
        }
        self.show();
    }

    /// Whether the server is down, so that only probes go out.
    pub(super) fn is_down(&self) -> bool {
        self.budget.is_down()
    }

    /// Why the server was taken for down last.
    pub(super) fn last_failure(&self) -> Option<ApiError> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell_turn(&self, turn: Turn) {
        let (target_name, api) = (self.targets.as_str(), self.api.as_str());
        let error = self.last_failure().map(|error| error.to_string()).unwrap_or_default();
        let reason = || {
            format!(
                "LaunchDarkly does not answer, one probe at a time asks for it; the last one: {error}"
            )
        };
        match turn {
            Turn::Began => {
                self.health.fault(&self.part("outage"), reason());
                tracing::warn!(
                    target_name,
                    api,
                    error,
                    "outage: LaunchDarkly does not answer; one probe at a time, records wait in kafka"
                );
            }
            Turn::Relapsed => {
                self.health.fault(&self.part("outage"), reason());
            }
            Turn::Answers => {
                self.health.heal(&self.part("outage"));
            }
            Turn::Ended => {
                self.health.heal(&self.part("outage"));
                tracing::info!(target_name, api, "the outage is over");
            }
        }
    }

    fn tell_long_hint(&self, hint: Duration) {
        let reason = format!("LaunchDarkly asked not to be sent anything for {} s", hint.as_secs());
        if self.health.fault(&self.part("hint"), reason) {
            tracing::warn!(
                target_name = self.targets,
                api = self.api.as_str(),
                seconds = hint.as_secs(),
                "LaunchDarkly asks for a pause longer than `retry_max`; it is obeyed"
            );
        }
    }

    /// The part's name in `/ready`.
    fn part(&self, what: &str) -> String {
        format!("target {}, {} api, {what}", self.targets, self.api.as_str())
    }

    /// Begins every series, so that there is none that hides its first event.
    fn declare_series(&self) {
        for cause in Cause::ALL {
            let labels = [self.targets.as_str(), self.api.as_str(), cause.as_str()];
            self.metrics.throttle_seconds.with_label_values(&labels);
        }
        self.show();
    }

    fn show(&self) {
        let status = self.budget.status();
        let labels = [self.targets.as_str(), self.api.as_str()];
        let metrics = &self.metrics;
        metrics.concurrency_limit.with_label_values(&labels).set(status.concurrency.into());
        metrics.outage.with_label_values(&labels).set(match status.outage {
            Condition::Up => 0,
            Condition::Recovering => 1,
            Condition::Down => 2,
        });
        let now = Instant::now();
        let parked = status.parked_until.map(|until| until.saturating_duration_since(now));
        let until = parked.map_or(0.0, |left| clock::now_seconds() + left.as_secs_f64());
        metrics.hint_until.with_label_values(&labels).set(until);
        for (limit, level) in status.levels {
            let labels = [self.targets.as_str(), self.api.as_str(), limit];
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

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn target(name: &str, token: &str, api_url: &str) -> TargetSettings {
        TargetSettings {
            name: name.to_owned(),
            project: "storefront".to_owned(),
            environment: name.to_owned(),
            access_token: SecretString::from(token),
            events_url: "https://events.example".to_owned(),
            api_url: api_url.to_owned(),
            company: "Acme".to_owned(),
        }
    }

    #[test]
    fn a_budget_is_shared_by_server_and_token() {
        let of = |target: &TargetSettings, other: &TargetSettings| {
            target.api_url == other.api_url && target.has_token_of(other)
        };
        let targets = [
            target("a", "one", "https://app.example"),
            target("b", "two", "https://app.example"),
            target("c", "one", "https://app.example"),
            target("d", "one", "https://elsewhere.example"),
        ];
        assert_eq!(shared(&targets, of, |at| at), [0, 1, 0, 3]);
        assert_eq!(shared(&targets, TargetSettings::has_token_of, |at| at), [0, 1, 0, 0]);
    }

    #[test]
    fn only_what_the_server_could_not_do_is_its_failure() {
        for class in ErrorClass::ALL {
            let failed = matches!(class, ErrorClass::Network | ErrorClass::Unavailable);
            assert_eq!(verdict(class) == Verdict::Failed, failed, "{class}");
        }
    }
}
