//! Judges what routes make, remembers what it said, and says what else should be known.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::announced::Announced;
use super::event::Written;
use super::explain;
use super::verdict::{Event, Verdict, is_key, of_change, of_event, segment_key};
use crate::model::batch::TargetId;
use crate::model::claim::{CheckPolicy, Claim, Presence};
use crate::model::knowledge::{Knowledge, Question};
use crate::model::operation::{MetricChange, MetricIntent, Operation, SegmentChange};
use crate::model::outcome::RefusalReason;

/// The most segments looked for on behalf of records, per target. What goes beyond stays unknown:
/// every one of them is a request each time LaunchDarkly is read.
const MOST_SEGMENTS: usize = 200;

/// How one route is checked.
#[derive(Debug, Clone)]
pub struct RouteCheck {
    pub target: TargetId,
    pub policy: CheckPolicy,
    pub claim: Claim,
}

/// What a route made of a record.
#[derive(Debug, Clone, Copy)]
pub enum Made<'a> {
    /// A metric event as it is written.
    Event(&'a [u8]),
    Operations(&'a [Operation]),
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Pass,
    /// It is sent and would not count. The words are there when it is time to log it.
    Warn {
        reason: RefusalReason,
        log: Option<String>,
    },
    Refuse {
        reason: RefusalReason,
        detail: String,
    },
    /// It would be refused if what is known were still so; LaunchDarkly has to be read first.
    Wait,
}

/// Whether a record may wait for certainty. It does so once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    Some,
    None,
}

/// The checks of all routes.
#[derive(Debug, Default)]
pub struct Checker {
    routes: Vec<Route>,
    /// By target: which project it belongs to; metrics are a project's.
    projects: Vec<usize>,
    /// By target.
    known: Vec<Arc<Knowledge>>,
    announced: Announced,
    /// By target: the edition in view of which it was asked for another.
    asked: Vec<Option<u64>>,
    segments: Vec<HashSet<String>>,
    questions: Vec<(TargetId, Question)>,
    /// Between two log lines of one route and reason, and as long as a definition may take.
    interval: Duration,
}

#[derive(Debug)]
struct Route {
    check: RouteCheck,
    /// The verdict on every record, as of an edition, where the route alone decides it.
    fixed: Option<(u64, Verdict)>,
    logged: Vec<(RefusalReason, Instant)>,
}

// === impl Checker ===

impl Checker {
    /// `projects` tells of each target which project it belongs to.
    pub fn new(checks: Vec<RouteCheck>, projects: Vec<usize>, interval: Duration) -> Self {
        let mut announced = Announced::default();
        for check in &checks {
            if let Claim::Metric { event_key: Some(key), .. } = &check.claim
                && let Some(project) = projects.get(check.target.0)
            {
                announced.always(*project, key);
            }
        }
        let route = |check| Route { check, fixed: None, logged: Vec::new() };
        Self {
            routes: checks.into_iter().map(route).collect(),
            known: projects.iter().map(|_| Arc::default()).collect(),
            asked: projects.iter().map(|_| None).collect(),
            segments: projects.iter().map(|_| HashSet::new()).collect(),
            projects,
            announced,
            questions: Vec::new(),
            interval,
        }
    }

    /// Takes note of what a target has.
    pub fn learn(&mut self, target: TargetId, knowledge: Arc<Knowledge>) {
        if let Some(known) = self.known.get_mut(target.0) {
            *known = knowledge;
        }
    }

    /// What should be known since the last call.
    pub fn take_questions(&mut self) -> Vec<(TargetId, Question)> {
        std::mem::take(&mut self.questions)
    }

    /// Decides about what a route made of a record; routes are counted as they were given.
    pub fn judge(
        &mut self,
        route: usize,
        made: Made<'_>,
        now: Instant,
        patience: Patience,
    ) -> Decision {
        let policy = self.routes.get(route).map_or(CheckPolicy::Off, |route| route.check.policy);
        if policy == CheckPolicy::Off {
            self.note_definitions(route, made, now);
            return Decision::Pass;
        }
        let Verdict::Mistaken(reason) = self.verdict(route, made, now) else {
            return Decision::Pass;
        };
        // What cannot be a key needs no look at LaunchDarkly.
        let certain = reason == RefusalReason::InvalidKey || self.is_certain(route, now);
        if policy == CheckPolicy::DeadLetter && certain {
            return Decision::Refuse { reason, detail: self.explain(route, made, reason) };
        }
        let readable = self.ask_again(route, now);
        if policy == CheckPolicy::DeadLetter && readable && patience == Patience::Some {
            return Decision::Wait;
        }
        let log = self.is_worth_a_line(route, reason, now);
        Decision::Warn { reason, log: log.then(|| self.explain(route, made, reason)) }
    }

    fn verdict(&mut self, route: usize, made: Made<'_>, now: Instant) -> Verdict {
        let Some(Route { check, fixed, .. }) = self.routes.get(route) else {
            return Verdict::Unknown;
        };
        let Some(known) = self.known.get(check.target.0) else { return Verdict::Unknown };
        let verdict = match fixed {
            Some((edition, verdict)) if *edition == known.edition => *verdict,
            _ => {
                let (verdict, is_fixed) = judged(check, made, known);
                let fixed = is_fixed.then_some((known.edition, verdict));
                if let Some(route) = self.routes.get_mut(route) {
                    route.fixed = fixed;
                }
                verdict
            }
        };
        self.note_definitions(route, made, now);
        match verdict {
            Verdict::Mistaken(RefusalReason::MetricMissing)
                if self.is_announced(route, made, now) =>
            {
                Verdict::Unknown
            }
            Verdict::Unknown => {
                self.ask_for_segments(route, made);
                verdict
            }
            Verdict::Counts | Verdict::Mistaken(_) => verdict,
        }
    }

    fn is_certain(&self, route: usize, now: Instant) -> bool {
        let known = self.knowledge_of(route);
        known.is_some_and(|known| known.certain_until.is_some_and(|until| now <= until))
    }

    /// Asks for everything once more, unless it is certain or that was asked already. Gives whether
    /// LaunchDarkly could be read the last time.
    fn ask_again(&mut self, route: usize, now: Instant) -> bool {
        let certain = self.is_certain(route, now);
        let Some(known) = self.knowledge_of(route) else { return false };
        let (edition, readable) = (known.edition, known.certain_until.is_some());
        let Some(target) = self.routes.get(route).map(|route| route.check.target) else {
            return false;
        };
        if let Some(asked) = self.asked.get_mut(target.0)
            && !certain
            && *asked != Some(edition)
        {
            *asked = Some(edition);
            self.questions.push((target, Question::Again));
        }
        readable
    }

    fn knowledge_of(&self, route: usize) -> Option<&Knowledge> {
        let target = self.routes.get(route)?.check.target;
        self.known.get(target.0).map(Arc::as_ref)
    }

    fn is_worth_a_line(&mut self, route: usize, reason: RefusalReason, now: Instant) -> bool {
        let Some(route) = self.routes.get_mut(route) else { return false };
        match route.logged.iter_mut().find(|(logged, _)| *logged == reason) {
            Some((_, at)) if now.duration_since(*at) < self.interval => false,
            Some((_, at)) => {
                *at = now;
                true
            }
            None => {
                route.logged.push((reason, now));
                true
            }
        }
    }

    // === segments that records name ===

    fn ask_for_segments(&mut self, route: usize, made: Made<'_>) {
        let Some(Route { check, .. }) = self.routes.get(route) else { return };
        let target = check.target;
        let (Claim::Segment { shape, .. }, Made::Operations(operations)) = (&check.claim, made)
        else {
            return;
        };
        let (Some(known), Some(asked)) =
            (self.known.get(target.0), self.segments.get_mut(target.0))
        else {
            return;
        };
        for SegmentChange { segment, .. } in segment_changes(operations) {
            let key = segment_key(segment, shape);
            let is_new = !known.segments.contains_key(&*key) && !asked.contains(&*key);
            if is_new && is_key(segment) && asked.len() < MOST_SEGMENTS {
                asked.insert(key.to_string());
                self.questions.push((target, Question::Segment(key.into_owned())));
            }
        }
    }

    // === metrics that this service defines (J4) ===

    fn note_definitions(&mut self, route: usize, made: Made<'_>, now: Instant) {
        let (Some(Route { check, .. }), Made::Operations(operations)) =
            (self.routes.get(route), made)
        else {
            return;
        };
        let Claim::Metric { event_key: None, .. } = &check.claim else { return };
        let Some(project) = self.projects.get(check.target.0).copied() else { return };
        for MetricChange { intent, .. } in metric_changes(operations) {
            let MetricIntent::Upsert(fields) = intent else { continue };
            if let Some(key) = fields.get("eventKey").and_then(serde_json::Value::as_str) {
                self.announced.until(project, key, now + self.interval, now);
            }
        }
    }

    fn is_announced(&self, route: usize, made: Made<'_>, now: Instant) -> bool {
        let Some(Route { check, .. }) = self.routes.get(route) else { return false };
        let Some(project) = self.projects.get(check.target.0) else { return false };
        match (&check.claim, made) {
            (Claim::Event { key: Some(key), .. }, _) => self.announced.has(*project, key, now),
            (_, Made::Event(event)) => Written::read(event)
                .is_some_and(|written| self.announced.has(*project, &written.key, now)),
            (_, Made::Operations(_)) => false,
        }
    }

    // === words ===

    fn explain(&self, route: usize, made: Made<'_>, reason: RefusalReason) -> String {
        let Some(Route { check, .. }) = self.routes.get(route) else { return String::new() };
        let Some(known) = self.known.get(check.target.0) else { return String::new() };
        match (&check.claim, made) {
            (Claim::Event { context_kinds, .. }, Made::Event(event)) => {
                let Some(written) = Written::read(event) else { return String::new() };
                let has_value = written.has_value();
                let event = Event { key: &written.key, context_kinds, has_value };
                explain::event(event, reason, known)
            }
            (Claim::Segment { shape, .. }, Made::Operations(operations)) => {
                let mistaken = segment_changes(operations)
                    .find(|change| of_change(change, known) == Verdict::Mistaken(reason));
                let Some(SegmentChange { segment, .. }) = mistaken else { return String::new() };
                let found = known.segments.get(&*segment_key(segment, shape));
                let found = found.and_then(Option::as_ref);
                explain::segment(segment, shape, reason, found)
            }
            (_, Made::Operations(operations)) => {
                let mistaken = metric_changes(operations).find(|change| !is_key(&change.key));
                mistaken.map(|it| explain::invalid_key("metric", &it.key)).unwrap_or_default()
            }
            (_, Made::Event(_)) => String::new(),
        }
    }
}

/// The verdict, and whether it is the same for every record of the route.
fn judged(check: &RouteCheck, made: Made<'_>, known: &Knowledge) -> (Verdict, bool) {
    match (&check.claim, made) {
        (Claim::Event { key, context_kinds, value }, Made::Event(event)) => {
            if let (Some(key), Presence::Always | Presence::Never) = (key, value) {
                let has_value = *value == Presence::Always;
                return (of_event(Event { key, context_kinds, has_value }, known), true);
            }
            let Some(written) = Written::read(event) else { return (Verdict::Unknown, false) };
            let has_value = written.has_value();
            (of_event(Event { key: &written.key, context_kinds, has_value }, known), false)
        }
        (Claim::Segment { .. }, Made::Operations(operations)) => {
            let changes = segment_changes(operations);
            // A change may leave other segments than the route's own, so it is looked at each time.
            (gravest(changes.map(|change| of_change(change, known))), false)
        }
        (_, Made::Operations(operations)) => {
            let invalid = metric_changes(operations).any(|change| !is_key(&change.key));
            let verdict = Verdict::Mistaken(RefusalReason::InvalidKey);
            (if invalid { verdict } else { Verdict::Counts }, false)
        }
        (_, Made::Event(_)) => (Verdict::Unknown, false),
    }
}

fn gravest(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::Counts, |gravest, verdict| match (gravest, verdict) {
        (Verdict::Mistaken(_), _) | (Verdict::Unknown, Verdict::Counts) => gravest,
        (Verdict::Unknown | Verdict::Counts, _) => verdict,
    })
}

fn segment_changes(operations: &[Operation]) -> impl Iterator<Item = &SegmentChange> {
    operations.iter().filter_map(|operation| match operation {
        Operation::Segment(change) => Some(change),
        Operation::Metric(_) => None,
    })
}

fn metric_changes(operations: &[Operation]) -> impl Iterator<Item = &MetricChange> {
    operations.iter().filter_map(|operation| match operation {
        Operation::Metric(change) => Some(change),
        Operation::Segment(_) => None,
    })
}
