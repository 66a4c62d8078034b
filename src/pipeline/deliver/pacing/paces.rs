//! Which requests share a budget, a destination, a quota.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::destination::Destination;
use super::{Api, FAILURES, Pacing};
use crate::launchdarkly::settings::TargetSettings;
use crate::pipeline::settings::DeliverySettings;
use crate::resilience::budget::{Budget, BudgetSettings};
use crate::resilience::outage::OutageSettings;
use crate::resilience::quota::RequestQuota;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Between two looks at outages.
const LOOK: Duration = Duration::from_secs(1);

/// The budgets of all targets, in their order.
#[derive(Debug, Clone)]
pub struct Paces {
    pub events: Vec<Arc<Pacing>>,
    pub rest: Vec<Arc<Pacing>>,
}

/// What all budgets are made of.
struct Maker<'a> {
    targets: &'a [TargetSettings],
    delivery: &'a DeliverySettings,
    metrics: &'a Metrics,
    health: &'a Arc<Health>,
}

// === impl Paces ===

impl Paces {
    pub fn new(
        targets: &[TargetSettings],
        delivery: &DeliverySettings,
        metrics: &Metrics,
        health: &Arc<Health>,
    ) -> Self {
        let quota = |_| RequestQuota::new(delivery.requests_per_second, delivery.burst);
        let quotas = shared(targets, TargetSettings::has_token_of, quota);
        let maker = Maker { targets, delivery, metrics, health };
        Self { events: maker.make(Api::Events, &quotas), rest: maker.make(Api::Rest, &quotas) }
    }

    /// Tells of hints that were taken over from the budgets before.
    pub fn tell_inherited(&self) {
        self.events.iter().chain(&self.rest).for_each(|pacing| pacing.tell_inherited());
    }

    /// Looks after outages that nobody asks about, as long as somebody holds these budgets.
    pub fn look_after(&self) -> impl Future<Output = ()> + Send + use<> {
        let all = self.events.iter().chain(&self.rest);
        let mut held: Vec<_> = all.map(|pacing| Arc::downgrade(&pacing.destination)).collect();
        async move {
            while !held.is_empty() {
                tokio::time::sleep(LOOK).await;
                held.retain(|destination| {
                    destination.upgrade().inspect(|destination| destination.look()).is_some()
                });
            }
        }
    }
}

// === impl Maker ===

impl Maker<'_> {
    fn make(&self, api: Api, quotas: &[RequestQuota]) -> Vec<Arc<Pacing>> {
        let server = |one: &TargetSettings, other: &TargetSettings| api.url(one) == api.url(other);
        let both = |one: &TargetSettings, other: &TargetSettings| {
            server(one, other) && one.has_token_of(other)
        };
        let destinations =
            shared(self.targets, server, |at| self.destination(api, &self.names(at, server)));
        let together = destinations.into_iter().zip(quotas.iter().cloned()).collect::<Vec<_>>();
        shared(self.targets, both, |at| {
            let names = self.names(at, both);
            let (destination, quota) = together
                .get(at)
                .cloned()
                .unwrap_or_else(|| (self.destination(api, &names), RequestQuota::default()));
            Arc::new(self.pacing(api, &names, destination, quota))
        })
    }

    fn destination(&self, api: Api, names: &[&str]) -> Arc<Destination> {
        let outage = OutageSettings {
            failures: FAILURES,
            pause: self.delivery.retry_initial,
            longest_pause: self.delivery.retry_max,
        };
        Arc::new(Destination::new(names.join("+"), api, outage, self.metrics, self.health))
    }

    fn pacing(
        &self,
        api: Api,
        names: &[&str],
        destination: Arc<Destination>,
        quota: RequestQuota,
    ) -> Pacing {
        let settings = BudgetSettings {
            reserve: f64::from(self.delivery.reserve_percent) / 100.0,
            concurrency: self.delivery.concurrency.saturating_mul(names.len().max(1)),
            pause: self.delivery.retry_initial,
        };
        let pacing = Pacing {
            budget: Budget::new(settings, quota, Arc::clone(&destination.server)),
            destination,
            targets: names.join("+"),
            api,
            long: self.delivery.retry_max,
            metrics: self.metrics.clone(),
            health: Arc::clone(self.health),
        };
        pacing.declare_series();
        pacing
    }

    /// The names of the targets that are the same as this one.
    fn names(
        &self,
        at: usize,
        same: impl Fn(&TargetSettings, &TargetSettings) -> bool,
    ) -> Vec<&str> {
        let Some(first) = self.targets.get(at) else { return Vec::new() };
        let sharers = self.targets.iter().filter(|other| same(first, other));
        sharers.map(|target| target.name.as_str()).collect()
    }
}

/// One value per target; those that are the same share that of the first.
pub(super) fn shared<T: Clone>(
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
