//! Halts a route when too many of its records would become dead letters: when LaunchDarkly refuses
//! everything, or a producer's format changes, the whole topic must not stream into the dead-letter
//! topic.
//!
//! A record is judged twice: when it is mapped and when it is sent; each has its own [`Breaker`], so
//! that what one takes does not hide what the other refuses. Those of mapping belong to the consumer
//! thread (`path`), those of delivery are here, because lanes judge side by side.
//!
//! While a route is halted, the partitions of its topics are not read, and what was read but not sent
//! waits in its lane; nothing is lost, and other topics go on. A probe goes out now and then. First
//! come the records that wait in a lane; when there are none, the consumer thread lets one in.
//!
//! # Invariants
//! - D1: a lane sends nothing of a halted route but one probe at a time.
//! - D2: what a probe brings to an end is a single judgement: accepted, or one dead letter.
//!
//! Not here: what waits where (`path`, `deliver`).

mod breaker;
mod meter;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

pub use self::breaker::{Breaker, Change};
use self::breaker::{HEALED, Ticket};
use super::settings::{GuardSettings, PipelineSettings};
use crate::model::batch::Mark;
use crate::model::outcome::Stage;
use crate::model::routes::RouteSet;
use crate::model::topic::TopicSelector;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// The stages that judge.
const STAGES: [Stage; 2] = [Stage::Route, Stage::Deliver];

/// The guard of all routes.
#[derive(Debug)]
pub struct Guard {
    settings: GuardSettings,
    /// The routes' names, in the configuration's order.
    names: Vec<String>,
    /// The topics that each of them reads.
    topics: Vec<Vec<TopicSelector>>,
    /// By topic, the indices of its routes by place.
    places: Mutex<HashMap<String, Arc<[usize]>>>,
    /// Of delivery, by route.
    breakers: Mutex<Vec<Breaker>>,
    /// How many of these are halted, so that asking costs nothing when none is.
    halted: AtomicUsize,
    /// Raised by every event that somebody may wait for.
    version: watch::Sender<u64>,
    /// Batches that wait, by route.
    waiting: Vec<AtomicUsize>,
    /// Judgements of delivery so far, by route.
    judgements: Vec<AtomicU64>,
    health: Arc<Health>,
    metrics: Metrics,
}

/// The right to send records of a halted route until one is judged.
#[derive(Debug)]
pub struct Probe<'g> {
    guard: &'g Guard,
    tickets: Vec<(usize, Ticket)>,
}

/// Batches counted as waiting.
struct Waiting<'g> {
    guard: &'g Guard,
    routes: &'g [usize],
}

impl Guard {
    pub fn new(settings: &PipelineSettings, health: Arc<Health>, metrics: Metrics) -> Self {
        let names: Vec<String> = settings.routes.iter().map(|route| route.name.clone()).collect();
        for name in &names {
            for stage in STAGES {
                metrics.route_halted.with_label_values(&[name.as_str(), stage.as_str()]).set(0);
            }
        }
        let guard = settings.dead_letter.guard;
        Self {
            settings: guard,
            topics: settings.routes.iter().map(|route| route.topics.clone()).collect(),
            places: Mutex::default(),
            breakers: Mutex::new(names.iter().map(|_| Breaker::new(guard)).collect()),
            halted: AtomicUsize::new(0),
            version: watch::Sender::new(0),
            waiting: names.iter().map(|_| AtomicUsize::new(0)).collect(),
            judgements: names.iter().map(|_| AtomicU64::new(0)).collect(),
            names,
            health,
            metrics,
        }
    }

    /// A breaker for each route.
    pub fn breakers(&self) -> Vec<Breaker> {
        self.names.iter().map(|_| Breaker::new(self.settings)).collect()
    }

    /// The indices of some routes of a topic.
    pub fn routes(&self, topic: &str, set: RouteSet) -> Vec<usize> {
        set.pick(&self.places(topic)).copied().collect()
    }

    /// Topics come and go while the service runs, so they are looked at when they are met.
    fn places(&self, topic: &str) -> Arc<[usize]> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = places.get(topic) {
            return Arc::clone(known);
        }
        let reads = |(_, topics): &(usize, &Vec<TopicSelector>)| {
            topics.iter().any(|selector| selector.selects(topic))
        };
        let found: Arc<[usize]> =
            self.topics.iter().enumerate().filter(reads).map(|(index, _)| index).collect();
        places.insert(topic.to_owned(), Arc::clone(&found));
        found
    }

    // === judgements of delivery ===

    /// LaunchDarkly has accepted these records of a topic.
    pub fn passed_marks(&self, topic: &str, marks: &[Mark], now: Instant) {
        // Mostly all records are of one route.
        for same in marks.chunk_by(|a, b| a.routes == b.routes) {
            let Some(first) = same.first() else { continue };
            let records = u64::try_from(same.len()).unwrap_or(u64::MAX);
            self.passed(&self.routes(topic, first.routes), records, now);
        }
    }

    /// LaunchDarkly has accepted something of each of these routes.
    pub fn passed(&self, routes: &[usize], records: u64, now: Instant) {
        self.judge(routes, |breaker| breaker.passed(records, now));
    }

    /// A record of these routes is refused.
    pub fn refused(&self, routes: &[usize], now: Instant) {
        self.judge(routes, |breaker| breaker.refused(now));
    }

    fn judge(&self, routes: &[usize], judge: impl Fn(&mut Breaker) -> Option<Change>) {
        let mut breakers = self.lock();
        let mut is_news = false;
        for route in routes {
            let Some(breaker) = breakers.get_mut(*route) else { continue };
            if let Some(judgements) = self.judgements.get(*route) {
                judgements.fetch_add(1, Ordering::SeqCst);
            }
            is_news |= breaker.is_halted();
            let Some(change) = judge(breaker) else { continue };
            is_news = true;
            match change {
                Change::Halted(_) => self.halted.fetch_add(1, Ordering::SeqCst),
                Change::Opened => self.halted.fetch_sub(1, Ordering::SeqCst),
            };
            self.tell(*route, Stage::Deliver, change);
        }
        drop(breakers);
        if is_news {
            self.raise();
        }
    }

    // === lanes ===

    /// Whether delivery of any route is halted.
    pub fn is_any_halted(&self) -> bool {
        self.halted.load(Ordering::SeqCst) > 0
    }

    /// Whether a lane must wait with records of these routes.
    pub fn is_halted(&self, routes: &[usize]) -> bool {
        if !self.is_any_halted() {
            return false;
        }
        let breakers = self.lock();
        routes.iter().any(|route| breakers.get(*route).is_some_and(Breaker::is_halted))
    }

    /// Waits until records of these routes may be sent: all of them, or as a probe.
    pub async fn admit(&self, routes: &[usize]) -> Probe<'_> {
        let _waiting = Waiting::new(self, routes);
        let mut version = self.version.subscribe();
        loop {
            version.borrow_and_update();
            let later = match self.try_admit(routes, Instant::now()) {
                Ok(probe) => return probe,
                Err(later) => later,
            };
            tokio::select! {
                // The sender lives in `self`, so the channel cannot close.
                _ = version.changed() => {}
                () = async { if let Some(at) = later { sleep_until(at).await } }, if later.is_some() => {}
            }
        }
    }

    /// Gives when to ask again; `None` while another probe is under way.
    fn try_admit(&self, routes: &[usize], now: Instant) -> Result<Probe<'_>, Option<Instant>> {
        let mut breakers = self.lock();
        let halted = |route: &usize| breakers.get(*route).filter(|breaker| breaker.is_halted());
        let mut latest = now;
        for breaker in routes.iter().filter_map(halted) {
            latest = latest.max(breaker.ready_at().ok_or(None)?);
        }
        if latest > now {
            return Err(Some(latest));
        }
        let begin = |route: &usize| Some((*route, breakers.get_mut(*route)?.probe(now)?));
        Ok(Probe { guard: self, tickets: routes.iter().filter_map(begin).collect() })
    }

    // === the consumer thread ===

    /// Raised whenever something changes that it should look at.
    pub fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Whether delivery of a route is halted.
    pub fn is_route_halted(&self, route: usize) -> bool {
        self.is_halted(&[route])
    }

    /// Counts the judgements on a route's records: another count means that there was one.
    pub fn judgements(&self, route: usize) -> u64 {
        self.judgements.get(route).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// Whether a halted route needs a record from Kafka for its next probe: it is time, and none waits
    /// in a lane.
    pub fn wants_record(&self, route: usize, now: Instant) -> bool {
        let waits = self.waiting.get(route).is_some_and(|it| it.load(Ordering::SeqCst) > 0);
        !waits && self.lock().get(route).is_some_and(|breaker| breaker.is_ready(now))
    }

    /// Forgets what is known of a route whose partitions are all somebody else's now.
    pub fn forget(&self, route: usize) {
        let mut breakers = self.lock();
        let Some(breaker) = breakers.get_mut(route).filter(|breaker| breaker.is_halted()) else {
            return;
        };
        breaker.reset();
        self.halted.fetch_sub(1, Ordering::SeqCst);
        self.tell(route, Stage::Deliver, Change::Opened);
        drop(breakers);
        self.raise();
    }

    /// Says that a route was halted, or goes on.
    pub fn tell(&self, route: usize, stage: Stage, change: Change) {
        let Some(name) = self.names.get(route).map(String::as_str) else { return };
        let part = format!("route {name} ({})", stage.as_str());
        let halted = self.metrics.route_halted.with_label_values(&[name, stage.as_str()]);
        let Change::Halted(excess) = change else {
            halted.set(0);
            self.health.heal(&part);
            tracing::info!(route = name, stage = stage.as_str(), "the route goes on");
            return;
        };
        let remedy = remedy(stage);
        halted.set(1);
        self.health.fault(
            &part,
            format!("too many of its records are refused ({excess}); its topics wait; {remedy}"),
        );
        tracing::error!(
            route = name,
            stage = stage.as_str(),
            refused = %excess,
            remedy,
            probe_interval = ?self.settings.probe_interval,
            "route halted: too many of its records would become dead letters; its topics wait in kafka"
        );
    }

    fn raise(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Breaker>> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Probe<'_> {
    /// What was judged is over already; what was not gives its turn back.
    fn drop(&mut self) {
        let mut breakers = self.guard.lock();
        let mut is_news = false;
        for (route, ticket) in &self.tickets {
            is_news |= breakers.get_mut(*route).is_some_and(|breaker| breaker.end(*ticket));
        }
        drop(breakers);
        if is_news {
            self.guard.raise();
        }
    }
}

impl<'g> Waiting<'g> {
    fn new(guard: &'g Guard, routes: &'g [usize]) -> Self {
        let waiting = Self { guard, routes };
        waiting.each(|count| count.fetch_add(1, Ordering::SeqCst));
        waiting
    }

    fn each(&self, change: impl Fn(&AtomicUsize) -> usize) {
        for route in self.routes {
            self.guard.waiting.get(*route).map(&change);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.each(|count| count.fetch_sub(1, Ordering::SeqCst));
    }
}

/// What a person can do.
fn remedy(stage: Stage) -> String {
    let what = match stage {
        Stage::Decode | Stage::Route | Stage::Check => {
            "mend the producer, or the mapping and reload"
        }
        Stage::Deliver => "mend what LaunchDarkly refuses, or the mapping and reload",
    };
    format!(
        "`ldsink dlq list` tells why; {what}; it goes on by itself after {HEALED} records in a row \
         that are taken; `dead_letter.guard` sets the limits"
    )
}

#[cfg(test)]
mod tests;
