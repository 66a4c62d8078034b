//! One of LaunchDarkly's servers, and what is told of its outages.
//!
//! Whoever finds out that a server is down or back tells it for all who send there: with several
//! tokens, the one whose probe is answered is rarely the one whose request failed first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Api;
use crate::launchdarkly::answer::ApiError;
use crate::resilience::budget::Server;
use crate::resilience::outage::{Condition, OutageSettings, Turn};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// A server, for all tokens.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) server: Arc<Server>,
    /// The names of the targets that send there, a label of metrics.
    targets: String,
    api: Api,
    metrics: Metrics,
    health: Arc<Health>,
    /// Held while something is told, so that the newest state is told last.
    last_failure: Mutex<Option<ApiError>>,
}

impl Destination {
    pub(super) fn new(
        targets: String,
        api: Api,
        outage: OutageSettings,
        metrics: &Metrics,
        health: &Arc<Health>,
    ) -> Self {
        let destination = Self {
            server: Arc::new(Server::new(outage)),
            targets,
            api,
            metrics: metrics.clone(),
            health: Arc::clone(health),
            last_failure: Mutex::default(),
        };
        destination.show(Condition::Up);
        destination
    }

    /// Notes why a request failed that the server could not answer.
    pub(super) fn failed(&self, error: &ApiError) {
        *self.lock() = Some(error.clone());
    }

    /// Why the server was taken for down last.
    pub(super) fn last_failure(&self) -> Option<ApiError> {
        self.lock().clone()
    }

    /// Tells when nobody asks any more about an outage.
    pub(super) fn look(&self) {
        if let Some(turn) = self.server.look() {
            self.tell(turn);
        }
    }

    /// Tells that an outage began or ended; whether there is one, the server knows.
    pub(super) fn tell(&self, turn: Turn) {
        let last_failure = self.lock();
        let error = last_failure.as_ref().map(ToString::to_string).unwrap_or_default();
        let condition = self.server.condition();
        let part = format!("target {}, {} api, outage", self.targets, self.api.as_str());
        if condition == Condition::Down {
            let reason = format!(
                "LaunchDarkly does not answer, one probe at a time asks for it; the last one: {error}"
            );
            self.health.fault(&part, reason);
        } else {
            self.health.heal(&part);
        }
        self.show(condition);
        let (target_name, api) = (self.targets.as_str(), self.api.as_str());
        match turn {
            Turn::Began => tracing::warn!(
                target_name,
                api,
                error,
                "outage: LaunchDarkly does not answer; one probe at a time, records wait in kafka"
            ),
            Turn::Ended => tracing::info!(target_name, api, "the outage is over"),
            Turn::Lapsed => tracing::info!(
                target_name,
                api,
                "outage: nothing waits for LaunchDarkly any more; the next request tells whether it is back"
            ),
            // Of one outage.
            Turn::Answers | Turn::Relapsed => {}
        }
    }

    fn show(&self, condition: Condition) {
        let labels = [self.targets.as_str(), self.api.as_str()];
        self.metrics.outage.with_label_values(&labels).set(match condition {
            Condition::Up => 0,
            Condition::Recovering => 1,
            Condition::Down => 2,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<ApiError>> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
