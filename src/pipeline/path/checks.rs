//! Asks the checks about what routes make, and carries knowledge and questions between them and
//! whoever reads LaunchDarkly. Never waits for either.
//!
//! A record that has to wait for certainty is parked by its partition, which is paused meanwhile; so are
//! those behind it, in their order. What is parked has not been taken: nothing of it is committed, and
//! whoever gets the partition reads it again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::batch::TargetId;
use crate::model::claim::{CheckPolicy, Claim};
use crate::model::knowledge::{Knowledge, Question, Wanted};
use crate::model::outcome::RefusalReason;
use crate::model::record::OwnedRecord;
use crate::pipeline::check::verdict::{is_key, segment_key};
use crate::pipeline::check::{Checker, Decision, Made, Patience, RouteCheck};
use crate::pipeline::route::RouteId;
use crate::pipeline::route::claim::claim_of;
use crate::pipeline::route::settings::RouteSettings;
use crate::telemetry::metrics::{Counter, Metrics};

/// The longest that records wait for certainty; then they pass, because what is unknown is no mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// What a target has, and where to ask for more. By target; `None` where nothing is checked.
pub type KnowledgeLinks = Vec<Option<(watch::Receiver<Arc<Knowledge>>, UnboundedSender<Question>)>>;

/// The checks of all routes.
#[derive(Debug, Default)]
pub(super) struct Checks {
    links: KnowledgeLinks,
    checker: Checker,
    routes: Vec<RouteWords>,
    now: Option<Instant>,
    patience: Option<Patience>,
}

/// What is said of a route.
#[derive(Debug)]
struct RouteWords {
    name: String,
    counters: Vec<(RefusalReason, Counter)>,
}

/// Records of a partition that wait for certainty.
#[derive(Debug, Default)]
pub(super) struct Parked {
    records: VecDeque<OwnedRecord>,
    bytes: usize,
    /// When the first of them began to wait.
    since: Option<Instant>,
}

/// What becomes of a record.
pub(super) enum Checked {
    Pass,
    /// It is sent, although it would not count.
    Mistaken(RefusalReason),
    Refuse(RefusalReason, String),
    Wait,
}

// === impl Checks ===

impl Checks {
    /// `projects` tells of each target which project it belongs to.
    pub(super) fn new(
        routes: &[RouteSettings],
        projects: Vec<usize>,
        links: KnowledgeLinks,
        interval: Duration,
        metrics: &Metrics,
    ) -> Self {
        let checks = routes.iter().map(|route| RouteCheck {
            target: route.operation.target(),
            policy: route.checks,
            claim: claim_of(&route.operation),
        });
        let words = |route: &RouteSettings| {
            // A series that begins with its first event hides that event from `increase()`.
            let checked = if route.checks == CheckPolicy::Off {
                &[][..]
            } else {
                &RefusalReason::OF_CHECKS[..]
            };
            let counter = |reason: &RefusalReason| {
                let labels = [route.name.as_str(), reason.as_str()];
                (*reason, metrics.would_not_count.with_label_values(&labels))
            };
            RouteWords { name: route.name.clone(), counters: checked.iter().map(counter).collect() }
        };
        Self {
            checker: Checker::new(checks.collect(), projects, interval),
            links,
            routes: routes.iter().map(words).collect(),
            now: None,
            patience: None,
        }
    }

    pub(super) fn are_on(&self) -> bool {
        !self.links.is_empty()
    }

    /// Says when it is, and whether the next record may wait.
    pub(super) fn begin(&mut self, now: Instant, patience: Patience) {
        (self.now, self.patience) = (Some(now), Some(patience));
    }

    /// Takes note of what has become known. Gives whether anything has.
    pub(super) fn refresh(&mut self) -> bool {
        let mut any = false;
        for (index, link) in self.links.iter_mut().enumerate() {
            let Some((knowledge, _)) = link else { continue };
            // An ended reader leaves what it knew.
            if knowledge.has_changed().unwrap_or(false) {
                let known = Arc::clone(&knowledge.borrow_and_update());
                self.checker.learn(TargetId(index), known);
                any = true;
            }
        }
        any
    }

    /// Decides about what a route made, and says it where somebody should know.
    pub(super) fn judge(&mut self, route: RouteId, made: Made<'_>) -> Checked {
        let (Some(now), Some(patience)) = (self.now, self.patience) else { return Checked::Pass };
        if !self.are_on() {
            return Checked::Pass;
        }
        let decision = self.checker.judge(route.0, made, now, patience);
        self.pass_questions_on();
        match decision {
            Decision::Pass => Checked::Pass,
            Decision::Wait => Checked::Wait,
            Decision::Refuse { reason, detail } => Checked::Refuse(reason, detail),
            Decision::Warn { reason, log } => {
                if let Some(detail) = log {
                    let name = self.routes.get(route.0).map_or("", |route| route.name.as_str());
                    tracing::warn!(
                        route = name,
                        reason = reason.as_str(),
                        detail,
                        remedy = reason.remedy(),
                        "LaunchDarkly will accept this and not count it; \
                         more of the same are counted and not logged for a while"
                    );
                }
                Checked::Mistaken(reason)
            }
        }
    }

    pub(super) fn count(&self, route: RouteId, reason: RefusalReason) {
        let counters = self.routes.get(route.0).map(|route| route.counters.as_slice());
        let counter = counters.unwrap_or_default().iter().find(|(counted, _)| *counted == reason);
        if let Some((_, counter)) = counter {
            counter.inc();
        }
    }

    fn pass_questions_on(&mut self) {
        for (target, question) in self.checker.take_questions() {
            let link = self.links.get(target.0).and_then(Option::as_ref);
            if link.is_some_and(|(_, questions)| questions.send(question).is_err()) {
                tracing::debug!("nobody reads LaunchDarkly any more");
            }
        }
    }
}

// === impl Parked ===

impl Parked {
    pub(super) fn push(&mut self, record: OwnedRecord, now: Instant) {
        self.since.get_or_insert(now);
        self.bytes += record.size();
        self.records.push_back(record);
    }

    /// Everything that was parked, in its order, and since when.
    pub(super) fn take(&mut self) -> (Option<Instant>, VecDeque<OwnedRecord>) {
        let Self { records, since, .. } = std::mem::take(self);
        (since, records)
    }

    /// Says that what is parked again has waited before.
    pub(super) fn has_waited(&mut self, since: Option<Instant>) {
        if !self.records.is_empty() {
            self.since = since.or(self.since);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The offset of the first record that is parked.
    pub(super) fn first(&self) -> Option<i64> {
        self.records.front().map(|record| record.offset)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When waiting is no longer worth it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + LONGEST_WAIT)
    }
}

/// What the checks of the routes want to know, by target; `None` where nothing is checked.
pub fn wanted(routes: &[RouteSettings], targets: usize) -> Vec<Option<Wanted>> {
    let mut all = vec![None; targets];
    for route in routes.iter().filter(|route| route.checks != CheckPolicy::Off) {
        let Some(wanted) = all.get_mut(route.operation.target().0) else { continue };
        let Wanted { metrics, segments } = wanted.get_or_insert_default();
        match claim_of(&route.operation) {
            Claim::Event { .. } => *metrics = true,
            Claim::Segment { key: Some(key), shape } if is_key(&key) => {
                let key = segment_key(&key, &shape).into_owned();
                if !segments.contains(&key) {
                    segments.push(key);
                }
            }
            Claim::Segment { .. } | Claim::Metric { .. } => {}
        }
    }
    all
}
