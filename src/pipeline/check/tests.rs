//! The rule against a naive model, and what the checker says to it.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{
    ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest,
};
use serde_json::{Map, json};
use tokio::time::Instant;

use super::event::Written;
use super::verdict::{Event, Verdict, is_key, of_event, of_segment};
use super::*;
use crate::model::batch::TargetId;
use crate::model::claim::{CheckPolicy, Claim, Presence};
use crate::model::knowledge::{Knowledge, MetricFacts, Question, SegmentFacts};
use crate::model::operation::{
    MemberList, Membership, MetricChange, MetricIntent, Operation, SegmentChange, SegmentCreation,
    SegmentKind, SegmentShape,
};
use crate::model::outcome::RefusalReason;

const KINDS: [&str; 3] = ["user", "device", "organization"];
const INTERVAL: Duration = Duration::from_secs(300);
const PAID: &[u8] =
    br#"{"kind":"custom","key":"paid","creationDate":1,"contextKeys":{"user":"u"}}"#;

fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|&text| text.to_owned()).collect()
}

fn metric(event_key: &str, is_numeric: bool, units: &[&str]) -> MetricFacts {
    let key = format!("m-{event_key}");
    let units = Some(texts(units));
    MetricFacts { key, event_key: event_key.to_owned(), is_numeric, units, archived: false }
}

fn knowing(edition: u64, metrics: Vec<MetricFacts>, certain_until: Option<Instant>) -> Knowledge {
    let metrics = Some(Arc::new(Knowledge::by_event_key(metrics)));
    Knowledge { edition, certain_until, metrics, ..Knowledge::default() }
}

fn event_route(policy: CheckPolicy, key: Option<&str>, value: Presence) -> RouteCheck {
    let (key, context_kinds) = (key.map(str::to_owned), texts(&["user"]));
    let claim = Claim::Event { key, context_kinds, value };
    RouteCheck { target: TargetId(0), policy, claim }
}

fn checker(routes: Vec<RouteCheck>) -> Checker {
    Checker::new(routes, vec![0], INTERVAL)
}

fn shape(kind: SegmentKind, context_kind: &str, create: bool) -> Arc<SegmentShape> {
    let create = create.then(SegmentCreation::default);
    Arc::new(SegmentShape { kind, context_kind: context_kind.to_owned(), fixed: false, create })
}

fn joins(segment: &str, shape: &Arc<SegmentShape>) -> Operation {
    Operation::Segment(SegmentChange {
        target: TargetId(0),
        segment: Arc::from(segment),
        shape: Arc::clone(shape),
        name: None,
        member: "u-1".to_owned(),
        membership: Membership::In(MemberList::Included),
    })
}

fn defines(key: &str, event_key: &str) -> Operation {
    let fields = Map::from_iter([("eventKey".to_owned(), json!(event_key))]);
    let intent = MetricIntent::Upsert(fields);
    Operation::Metric(MetricChange { target: TargetId(0), key: Arc::from(key), intent })
}

fn is_warning(decision: &Decision, expected: RefusalReason, logged: bool) -> bool {
    matches!(decision, Decision::Warn { reason, log } if *reason == expected && log.is_some() == logged)
}

// === the rule ===

fn any_metric() -> impl Strategy<Value = MetricFacts> {
    let units = prop::option::of(prop::collection::vec(0..3_usize, 0..3));
    (0..3_u8, any::<bool>(), any::<bool>(), units).prop_map(|(key, is_numeric, archived, units)| {
        let units = units.map(|units| units.into_iter().map(|n| KINDS[n].to_owned()).collect());
        MetricFacts { is_numeric, units, archived, ..metric(&format!("e{key}"), false, &[]) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// An event counts when one metric at least would count it, says a program without an index.
    #[test]
    fn an_event_counts_as_a_naive_model_says(
        metrics in prop::collection::vec(any_metric(), 0..6),
        kinds in prop::collection::vec(0..3_usize, 1..3),
        (key, has_value) in (0..3_u8, any::<bool>()),
    ) {
        let kinds: Vec<String> = kinds.into_iter().map(|n| KINDS[n].to_owned()).collect();
        let key = format!("e{key}");
        let event = Event { key: &key, context_kinds: &kinds, has_value };
        let counts = metrics.iter().any(|metric| {
            let analysed = metric.units.as_ref().is_none_or(|units| {
                units.is_empty() || units.iter().any(|unit| kinds.contains(unit))
            });
            metric.event_key == key && !metric.archived && analysed && (has_value || !metric.is_numeric)
        });
        let listening = metrics.iter().any(|it| it.event_key == key && !it.archived);
        let verdict = of_event(event, &knowing(1, metrics, None));
        prop_assert_eq!(verdict == Verdict::Counts, counts);
        let missing = verdict == Verdict::Mistaken(RefusalReason::MetricMissing);
        prop_assert_eq!(missing, !listening);
        prop_assert_eq!(of_event(event, &Knowledge::default()), Verdict::Unknown, "J2");
    }

    /// J2, J3: whatever was read, a record is refused only while it is certain.
    #[test]
    fn nothing_is_refused_without_certainty(
        known in prop::option::of(prop::collection::vec(any_metric(), 0..4)),
        certain in prop::option::of(0..20_u64),
        later in 0..20_u64,
        may_wait in any::<bool>(),
    ) {
        let now = Instant::now();
        let certain_until = certain.map(|seconds| now + Duration::from_secs(seconds));
        let metrics = known.map(|metrics| Arc::new(Knowledge::by_event_key(metrics)));
        let knowledge = Knowledge { edition: 1, certain_until, metrics, ..Knowledge::default() };
        let mut checker = checker(vec![event_route(CheckPolicy::DeadLetter, None, Presence::Never)]);
        checker.learn(TargetId(0), Arc::new(knowledge.clone()));
        let patience = if may_wait { Patience::Some } else { Patience::None };
        let at = now + Duration::from_secs(later);
        let is_certain = certain.is_some_and(|until| later <= until);
        let decision = checker.judge(0, Made::Event(PAID), at, patience);
        match decision {
            Decision::Refuse { .. } => prop_assert!(is_certain && knowledge.metrics.is_some()),
            Decision::Wait => prop_assert!(!is_certain && may_wait && certain.is_some()),
            Decision::Warn { .. } => prop_assert!(!is_certain),
            Decision::Pass => prop_assert!(knowledge.metrics.is_none()),
        }
    }
}

#[test]
fn segments_are_held_against_the_shape_their_members_are_written_in() {
    let synced = SegmentKind::Synced {
        integration_key: "amplitude".to_owned(),
        client_side_id: "c".to_owned(),
        cohort_id: Some("42".to_owned()),
    };
    let big = |kind: &str| Some(SegmentFacts::Big { context_kind: kind.to_owned() });
    let of_partner = |integration: &str| {
        let (context_kind, integration) = ("user".to_owned(), integration.to_owned());
        Some(SegmentFacts::Synced { context_kind, integration })
    };
    let mistaken = Verdict::Mistaken;
    for (kind, create, found, expected) in [
        (SegmentKind::Big, false, None, mistaken(RefusalReason::SegmentMissing)),
        (SegmentKind::Big, true, None, Verdict::Counts),
        (SegmentKind::Big, true, big("user"), Verdict::Counts),
        (SegmentKind::Big, true, big("device"), mistaken(RefusalReason::ContextKindDiffers)),
        (
            SegmentKind::Big,
            false,
            Some(SegmentFacts::Standard),
            mistaken(RefusalReason::SegmentKindDiffers),
        ),
        (
            SegmentKind::Big,
            false,
            of_partner("amplitude"),
            mistaken(RefusalReason::SegmentKindDiffers),
        ),
        (SegmentKind::Standard, false, Some(SegmentFacts::Standard), Verdict::Counts),
        (SegmentKind::Standard, false, big("user"), mistaken(RefusalReason::SegmentKindDiffers)),
        (synced.clone(), false, None, Verdict::Counts),
        (synced.clone(), false, of_partner("amplitude"), Verdict::Counts),
        (
            synced.clone(),
            false,
            of_partner("hightouch"),
            mistaken(RefusalReason::SegmentKindDiffers),
        ),
        (synced, false, big("user"), mistaken(RefusalReason::SegmentKindDiffers)),
    ] {
        let shape = shape(kind, "user", create);
        let key =
            if matches!(shape.kind, SegmentKind::Synced { .. }) { "amplitude-42" } else { "vip" };
        let mut knowledge = Knowledge::default();
        assert_eq!(of_segment("vip", &shape, &knowledge), Verdict::Unknown, "J2");
        knowledge.segments.insert(key.to_owned(), found.clone());
        assert_eq!(of_segment("vip", &shape, &knowledge), expected, "{shape:?} {found:?}");
        // What a cohort's ID may be is nobody's knowledge, so it is no mistake.
        let is_cohort = key != "vip";
        let mistaken = Verdict::Mistaken(RefusalReason::InvalidKey);
        assert_eq!(of_segment("VIP shoppers", &shape, &knowledge) != mistaken, is_cohort);
    }
}

#[test]
fn keys_are_plain_and_not_endless() {
    let (longest, longer) = ("k".repeat(256), "k".repeat(257));
    for good in ["a", "9.x_Y-z", &longest] {
        assert!(is_key(good), "{good}");
    }
    for bad in ["", "-a", "a b", "a/b", "é", &longer] {
        assert!(!is_key(bad), "{bad}");
    }
}

#[test]
fn an_event_is_read_as_it_is_written() {
    let read = |event: &'static [u8]| {
        Written::read(event).map(|written| (written.key.to_string(), written.has_value()))
    };
    assert_eq!(read(PAID), Some(("paid".to_owned(), false)));
    let valued = br#"{"kind":"custom","key":"a\"b","metricValue":1.5,"data":{"key":"x"}}"#;
    assert_eq!(read(valued), Some(("a\"b".to_owned(), true)));
    assert_eq!(read(b"{"), None);
}

// === the checker ===

#[test]
fn a_mistake_is_told_once_per_interval_with_what_helps() {
    let now = Instant::now();
    let mut checker = checker(vec![event_route(CheckPolicy::Warn, Some("paid"), Presence::Never)]);
    checker.learn(
        TargetId(0),
        Arc::new(knowing(1, vec![metric("payd", false, &["user"])], Some(now))),
    );
    let first = checker.judge(0, Made::Event(PAID), now, Patience::Some);
    let Decision::Warn { log: Some(detail), .. } = &first else { panic!("{first:?}") };
    assert_eq!(detail, "no metric has the event key `paid`; did you mean `payd`?");
    let second = checker.judge(0, Made::Event(PAID), now + INTERVAL / 2, Patience::Some);
    assert!(is_warning(&second, RefusalReason::MetricMissing, false), "{second:?}");
    let third = checker.judge(0, Made::Event(PAID), now + INTERVAL, Patience::Some);
    assert!(is_warning(&third, RefusalReason::MetricMissing, true), "{third:?}");
}

#[test]
fn each_mistake_has_words_of_its_own() {
    let now = Instant::now();
    let say = |metrics: Vec<MetricFacts>| {
        let mut checker =
            checker(vec![event_route(CheckPolicy::DeadLetter, None, Presence::Sometimes)]);
        checker.learn(TargetId(0), Arc::new(knowing(1, metrics, Some(now))));
        match checker.judge(0, Made::Event(PAID), now, Patience::Some) {
            Decision::Refuse { reason, detail } => format!("{}: {detail}", reason.as_str()),
            other @ (Decision::Pass | Decision::Warn { .. } | Decision::Wait) => {
                format!("{other:?}")
            }
        }
    };
    assert_eq!(
        say(vec![metric("paid", true, &["user"])]),
        "value_missing: the metrics of the event key `paid` (`m-paid`) measure a number, and the event brings none"
    );
    assert_eq!(
        say(vec![metric("paid", false, &["device", "account"])]),
        "analysis_unit_missing: the metrics of the event key `paid` (`m-paid`) analyse account, device, \
         and the event is about user"
    );
    assert_eq!(
        say(vec![MetricFacts { archived: true, ..metric("paid", false, &["user"]) }]),
        "metric_missing: only archived metrics have the event key `paid`: `m-paid`"
    );
    assert_eq!(say(vec![metric("paid", false, &["user"])]), "Pass");
}

#[test]
fn a_seeming_mistake_waits_for_one_more_reading_and_is_asked_for_once() {
    let now = Instant::now();
    let late = now + Duration::from_secs(60);
    let mut checker =
        checker(vec![event_route(CheckPolicy::DeadLetter, Some("paid"), Presence::Never)]);
    checker.learn(TargetId(0), Arc::new(knowing(1, Vec::new(), Some(now))));
    for _ in 0..3 {
        assert_eq!(checker.judge(0, Made::Event(PAID), late, Patience::Some), Decision::Wait);
    }
    assert_eq!(checker.take_questions(), [(TargetId(0), Question::Again)]);
    // The metric was made meanwhile.
    let metrics = vec![metric("paid", false, &["user"])];
    checker.learn(TargetId(0), Arc::new(knowing(2, metrics, Some(late))));
    assert_eq!(checker.judge(0, Made::Event(PAID), late, Patience::Some), Decision::Pass);
    // It is gone again, and that is certain.
    checker.learn(TargetId(0), Arc::new(knowing(3, Vec::new(), Some(late))));
    let decision = checker.judge(0, Made::Event(PAID), late, Patience::Some);
    assert!(matches!(decision, Decision::Refuse { .. }), "{decision:?}");
    // It cannot be read any more: what it was like is worth a warning, and no dead letter.
    checker.learn(TargetId(0), Arc::new(knowing(4, Vec::new(), None)));
    let decision = checker.judge(0, Made::Event(PAID), late, Patience::Some);
    assert!(is_warning(&decision, RefusalReason::MetricMissing, true), "{decision:?}");
}

#[test]
fn metrics_that_the_service_defines_are_not_called_missing() {
    let now = Instant::now();
    let metric_route = |event_key: Option<&str>| RouteCheck {
        target: TargetId(0),
        // Even where nobody checks the definitions themselves.
        policy: CheckPolicy::Off,
        claim: Claim::Metric { key: None, event_key: event_key.map(str::to_owned) },
    };
    let events = || event_route(CheckPolicy::DeadLetter, None, Presence::Never);
    let mut checker = checker(vec![events(), metric_route(None), metric_route(Some("signup"))]);
    checker.learn(TargetId(0), Arc::new(knowing(1, Vec::new(), Some(now + INTERVAL * 4))));
    let signup = br#"{"kind":"custom","key":"signup"}"#;
    assert_eq!(checker.judge(0, Made::Event(signup), now, Patience::Some), Decision::Pass);
    let decision = checker.judge(0, Made::Event(PAID), now, Patience::Some);
    assert!(matches!(decision, Decision::Refuse { .. }), "{decision:?}");
    let made = [defines("m", "paid")];
    assert_eq!(checker.judge(1, Made::Operations(&made), now, Patience::Some), Decision::Pass);
    assert_eq!(checker.judge(0, Made::Event(PAID), now, Patience::Some), Decision::Pass);
    let decision = checker.judge(0, Made::Event(PAID), now + INTERVAL * 2, Patience::Some);
    assert!(
        matches!(decision, Decision::Refuse { .. }),
        "its definition was never taken: {decision:?}"
    );
}

#[test]
fn a_segment_that_a_record_names_is_looked_for_once_and_then_known() {
    let now = Instant::now();
    let shape = shape(SegmentKind::Big, "user", false);
    let claim = Claim::Segment { key: None, shape: Arc::clone(&shape) };
    let route = RouteCheck { target: TargetId(0), policy: CheckPolicy::DeadLetter, claim };
    let mut checker = checker(vec![route]);
    checker.learn(TargetId(0), Arc::new(knowing(1, Vec::new(), Some(now))));
    let made = [joins("vip", &shape)];
    for _ in 0..2 {
        assert_eq!(checker.judge(0, Made::Operations(&made), now, Patience::Some), Decision::Pass);
    }
    assert_eq!(checker.take_questions(), [(TargetId(0), Question::Segment("vip".to_owned()))]);
    let mut knowledge = knowing(2, Vec::new(), Some(now));
    knowledge.segments.insert("vip".to_owned(), None);
    checker.learn(TargetId(0), Arc::new(knowledge));
    let decision = checker.judge(0, Made::Operations(&made), now, Patience::Some);
    let detail = "there is no segment `vip`".to_owned();
    assert_eq!(decision, Decision::Refuse { reason: RefusalReason::SegmentMissing, detail });
    let mut left = joins("vip", &shape);
    if let Operation::Segment(change) = &mut left {
        change.membership = Membership::OutOf(MemberList::Included);
    }
    let decision = checker.judge(0, Made::Operations(&[left]), now, Patience::Some);
    assert_eq!(decision, Decision::Pass, "nobody is in a segment that is not there");
    // What can be no key needs no reading.
    let made = [joins("no key", &shape)];
    checker.learn(TargetId(0), Arc::default());
    let decision = checker.judge(0, Made::Operations(&made), now, Patience::Some);
    assert!(matches!(decision, Decision::Refuse { reason: RefusalReason::InvalidKey, .. }));
    assert!(checker.take_questions().is_empty());
}
