//! Compares what was produced with what was found.
//!
//! Pure: two lists in, a verdict out. Nothing the pipeline says about itself is looked at.
//!
//! # Invariants
//! - V1: every record produced is in exactly one class, so the classes add up to `produced`.
//! - V2: only a verdict without losses, repeats and surprises is clean.

use std::collections::{BTreeMap, HashMap};

use super::evidence::Evidence;
use super::manifest::{Entry, Fate, Filter, Manifest};
use crate::model::outcome::RefusalReason;

/// What became of the records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) produced: u64,
    /// New orders that count once.
    pub(super) delivered: u64,
    /// As expected, found in neither place.
    pub(super) filtered: BTreeMap<Filter, u64>,
    /// As expected, in the dead-letter topic once, with the expected reason.
    pub(super) dead_lettered: BTreeMap<RefusalReason, u64>,
    /// Expected in one of the two places and found in neither.
    pub(super) lost: u64,
    /// Orders that count more than once.
    pub(super) counted_twice: u64,
    /// Found where they do not belong: delivered although they should be filtered, dead-lettered
    /// for another reason, and the like.
    pub(super) misplaced: u64,
    /// Findings that no record accounts for. Not part of `produced`.
    pub(super) foreign: u64,
    /// From change to receipt, in milliseconds, ascending; one for each order that counts.
    pub(super) latencies_ms: Vec<i64>,
}

/// The class of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Delivered,
    Filtered(Filter),
    DeadLettered(RefusalReason),
    Lost,
    CountedTwice,
    Misplaced,
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn of(manifest: &Manifest, evidence: &Evidence) -> Self {
        let mut verdict = Self { foreign: evidence.nameless, ..Self::default() };
        let mut letters: HashMap<usize, Vec<&str>> = HashMap::new();
        for letter in &evidence.letters {
            match letter.place.and_then(|place| manifest.at(place)) {
                Some(number) => letters.entry(number).or_default().push(&letter.reason),
                None => verdict.foreign += 1,
            }
        }
        let mut known = 0;
        for (number, entry) in manifest.entries().iter().enumerate() {
            let arrival =
                if entry.introduces_order() { evidence.counted.get(&entry.order) } else { None };
            if let Some(arrival) = arrival {
                known += 1;
                verdict.latencies_ms.push(arrival.first_at_ms - entry.produced_at_ms);
            }
            let times = arrival.map_or(0, |arrival| arrival.times);
            verdict.add(judge(entry, times, letters.get(&number).map_or(&[], Vec::as_slice)));
        }
        verdict.foreign += count(evidence.counted.len().saturating_sub(known));
        verdict.latencies_ms.sort_unstable();
        verdict
    }

    fn add(&mut self, end: End) {
        self.produced += 1;
        match end {
            End::Delivered => self.delivered += 1,
            End::Filtered(filter) => *self.filtered.entry(filter).or_default() += 1,
            End::DeadLettered(reason) => *self.dead_lettered.entry(reason).or_default() += 1,
            End::Lost => self.lost += 1,
            End::CountedTwice => self.counted_twice += 1,
            End::Misplaced => self.misplaced += 1,
        }
    }

    pub(super) fn filtered_total(&self) -> u64 {
        self.filtered.values().sum()
    }

    pub(super) fn dead_lettered_total(&self) -> u64 {
        self.dead_lettered.values().sum()
    }

    /// Found where they do not belong, or from nowhere.
    pub(super) fn unexpected(&self) -> u64 {
        self.misplaced + self.foreign
    }

    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.counted_twice == 0 && self.unexpected() == 0
    }

    /// The latency that `percent` of the delivered orders stayed within (nearest rank).
    pub(super) fn latency_ms(&self, percent: usize) -> Option<i64> {
        let rank = (self.latencies_ms.len() * percent).div_ceil(100).max(1);
        self.latencies_ms.get(rank - 1).copied()
    }
}

/// Gives the class of a record from how often its order counts and the reasons of its dead letters.
///
/// Any change of an order would carry the order's ID, so a delivered update shows as an order that
/// counts twice, which is what it is.
fn judge(entry: &Entry, times: u32, letters: &[&str]) -> End {
    match (entry.fate, times, letters) {
        (_, 2.., _) => End::CountedTwice,
        (Fate::Delivered, 1, []) => End::Delivered,
        (Fate::Filtered(filter), 0, []) => End::Filtered(filter),
        (Fate::DeadLettered(reason), 0, [found]) if *found == reason.as_str() => {
            End::DeadLettered(reason)
        }
        (Fate::Delivered | Fate::DeadLettered(_), 0, []) => End::Lost,
        _ => End::Misplaced,
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::demo::evidence::Letter;
    use crate::demo::manifest::Place;

    /// What is done to the evidence of a faultless run.
    type Doctoring = fn(&mut Evidence);

    const MISSING: RefusalReason = RefusalReason::MissingField;

    /// Entries one after another in partition 0; follow-ups belong to the order before them.
    fn manifest(fates: &[Fate]) -> Manifest {
        let (mut manifest, mut order) = (Manifest::default(), 100);
        for (offset, fate) in (0..).zip(fates) {
            let mut entry = Entry { order, fate: *fate, produced_at_ms: 1_000 };
            if entry.introduces_order() {
                order += 1;
                entry.order = order;
            }
            let number = manifest.note(entry);
            manifest.place(number, Place { partition: 0, offset });
        }
        manifest
    }

    fn letter(offset: i64, reason: &str) -> Letter {
        Letter { place: Some(Place { partition: 0, offset }), reason: reason.to_owned() }
    }

    /// An order, its update, a test order, a malformed one, another order.
    fn shop() -> Manifest {
        manifest(&[
            Fate::Delivered,
            Fate::Filtered(Filter::Update),
            Fate::Filtered(Filter::TestOrder),
            Fate::DeadLettered(MISSING),
            Fate::Delivered,
        ])
    }

    /// What a faultless pipeline leaves behind for `shop`.
    fn faultless() -> Evidence {
        let mut evidence = Evidence::default();
        evidence.note_event(101, 1_200);
        evidence.note_event(104, 1_300);
        evidence.letters.push(letter(3, "missing_field"));
        evidence
    }

    fn doctored(change: impl FnOnce(&mut Evidence)) -> Verdict {
        let mut evidence = faultless();
        change(&mut evidence);
        Verdict::of(&shop(), &evidence)
    }

    #[test]
    fn a_faultless_run_is_clean_and_adds_up_v1() {
        let verdict = doctored(|_| {});
        assert!(verdict.is_clean(), "{verdict:?}");
        assert_eq!((verdict.produced, verdict.delivered), (5, 2));
        assert_eq!(verdict.filtered, BTreeMap::from([(Filter::Update, 1), (Filter::TestOrder, 1)]));
        assert_eq!(verdict.dead_lettered, BTreeMap::from([(MISSING, 1)]));
        assert_eq!(verdict.latencies_ms, [200, 300]);
    }

    #[test]
    fn an_event_that_is_missing_is_a_loss_v2() {
        let verdict = doctored(|evidence| assert!(evidence.counted.remove(&104).is_some()));
        assert_eq!((verdict.lost, verdict.delivered), (1, 1));
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_dead_letter_that_is_missing_is_a_loss_v2() {
        let verdict = doctored(|evidence| evidence.letters.clear());
        assert_eq!((verdict.lost, verdict.dead_lettered_total()), (1, 0));
        assert!(!verdict.is_clean());
    }

    #[test]
    fn an_order_that_counts_again_is_counted_twice_and_not_delivered_v2() {
        let verdict = doctored(|evidence| evidence.note_event(101, 1_250));
        assert_eq!((verdict.counted_twice, verdict.delivered, verdict.lost), (1, 1, 0));
        assert_eq!(verdict.latencies_ms, [200, 300], "the first arrival counts");
        assert!(!verdict.is_clean());
    }

    #[test]
    fn a_loss_and_a_repeat_do_not_cancel_out_v2() {
        let verdict = doctored(|evidence| {
            evidence.counted.remove(&104);
            evidence.note_event(101, 1_250);
        });
        assert_eq!((verdict.lost, verdict.counted_twice), (1, 1));
    }

    #[test]
    fn what_is_found_in_the_wrong_place_is_unexpected_v2() {
        let cases: [(&str, Doctoring); 6] = [
            ("a test order counts", |e| e.note_event(102, 1_200)),
            ("a malformed order counts", |e| e.note_event(103, 1_200)),
            ("another reason", |e| e.letters = vec![letter(3, "invalid_json")]),
            ("a good order is dead-lettered", |e| e.letters.push(letter(0, "missing_field"))),
            ("an update is dead-lettered", |e| e.letters.push(letter(1, "missing_field"))),
            ("a dead letter twice", |e| e.letters.push(letter(3, "missing_field"))),
        ];
        for (what, change) in cases {
            let verdict = doctored(change);
            assert_eq!(verdict.misplaced, 1, "{what}: {verdict:?}");
            assert!(!verdict.is_clean(), "{what}");
        }
    }

    #[test]
    fn what_nobody_produced_is_unexpected_v2() {
        let cases: [(&str, Doctoring); 4] = [
            ("an event without an order", |e| e.nameless += 1),
            ("an unknown order", |e| e.note_event(999, 1_200)),
            ("an unknown place", |e| e.letters.push(letter(77, "missing_field"))),
            ("no place", |e| e.letters.push(Letter { place: None, reason: String::new() })),
        ];
        for (what, change) in cases {
            let verdict = doctored(change);
            assert_eq!(verdict.foreign, 1, "{what}: {verdict:?}");
            assert!(!verdict.is_clean(), "{what}");
        }
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let verdict = Verdict { latencies_ms: (1..=200).collect(), ..Verdict::default() };
        let found = [50, 95, 99, 100].map(|percent| verdict.latency_ms(percent));
        assert_eq!(found, [Some(100), Some(190), Some(198), Some(200)]);
        assert_eq!(Verdict::default().latency_ms(50), None);
    }

    fn fates() -> impl Strategy<Value = Vec<Fate>> {
        prop::collection::vec(
            prop::sample::select(vec![
                Fate::Delivered,
                Fate::Filtered(Filter::Update),
                Fate::Filtered(Filter::TestOrder),
                Fate::DeadLettered(MISSING),
                Fate::DeadLettered(RefusalReason::InvalidJson),
            ]),
            0..40,
        )
    }

    proptest! {
        #[test]
        fn the_classes_add_up_whatever_is_found_v1(
            fates in fates(),
            events in prop::collection::vec(90..150_u64, 0..60),
            letters in prop::collection::vec((0..50_i64, any::<bool>()), 0..20),
        ) {
            let mut evidence = Evidence::default();
            for order in events {
                evidence.note_event(order, 1_500);
            }
            for (offset, missing) in letters {
                let reason = if missing { "missing_field" } else { "invalid_json" };
                evidence.letters.push(letter(offset, reason));
            }
            let v = Verdict::of(&manifest(&fates), &evidence);
            let sum = v.delivered + v.filtered_total() + v.dead_lettered_total() + v.lost
                + v.counted_twice + v.misplaced;
            prop_assert_eq!(sum, v.produced);
            prop_assert_eq!(v.produced, count(fates.len()));
            prop_assert!(v.latencies_ms.is_sorted());
        }
    }
}
