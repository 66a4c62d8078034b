//! Changes to the members of a segment, and the bodies that list-based segments take them in.
//!
//! # Invariants
//! - C1: a key is in one set of changes at most once, with its newest intent: what LaunchDarkly does
//!   with a key that is both added and removed is not documented.
//! - C2: whatever adds a key to one list also removes it from the other one. A standard segment
//!   refuses a key in both, and a big one would keep it in both.
//! - C3: slices hold every change once, in order, and none costs more than asked for.
//!
//! Not here: partner integrations (`synced`), who sends (`segments`).

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// Shown in LaunchDarkly's history, and asked for where an environment requires comments.
const COMMENT: &str = "Change events from Kafka, by ldsink";

/// What is to become of one member. A segment has a list of included and one of excluded keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberIntent {
    /// Included, and excluded no more.
    Include,
    /// Excluded, and included no more.
    Exclude,
    /// Included no more; whether it is excluded stays as it is.
    DropIncluded,
    /// Excluded no more; whether it is included stays as it is.
    DropExcluded,
    /// On neither list.
    Drop,
}

/// Changes to the members of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberChanges {
    members: Vec<(String, MemberIntent)>,
}

/// What is written to the two lists.
struct Lists<'a> {
    included_add: Vec<&'a str>,
    included_remove: Vec<&'a str>,
    excluded_add: Vec<&'a str>,
    excluded_remove: Vec<&'a str>,
}

// === impl MemberIntent ===

impl MemberIntent {
    /// Operations that it takes on the two lists (C2).
    fn operations(self) -> usize {
        match self {
            Self::Include | Self::Exclude | Self::Drop => 2,
            Self::DropIncluded | Self::DropExcluded => 1,
        }
    }
}

// === impl MemberChanges ===

impl MemberChanges {
    /// Keeps the last intent for each key, in the place of its first one.
    pub fn from_intents(intents: impl IntoIterator<Item = (String, MemberIntent)>) -> Self {
        let mut places = HashMap::<String, usize>::new();
        let mut members = Vec::<(String, MemberIntent)>::new();
        for (key, intent) in intents {
            if let Some((_, older)) = places.get(&key).and_then(|at| members.get_mut(*at)) {
                *older = intent;
            } else {
                places.insert(key.clone(), members.len());
                members.push((key, intent));
            }
        }
        Self { members }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The changes in order.
    pub fn members(&self) -> &[(String, MemberIntent)] {
        &self.members
    }

    /// The keys with this intent.
    pub fn keys(&self, intent: MemberIntent) -> impl Iterator<Item = &str> {
        self.members.iter().filter(move |(_, its)| *its == intent).map(|(key, _)| key.as_str())
    }

    /// Cuts the changes so that no slice takes more than `max` operations on the two lists, at least
    /// one change each (C3).
    pub fn slices(&self, max: usize) -> Vec<Self> {
        let mut slices = Vec::<Self>::new();
        let mut room = 0;
        for (key, intent) in &self.members {
            let cost = intent.operations();
            if slices.is_empty() || cost > room {
                slices.push(Self::default());
                room = max;
            }
            room = room.saturating_sub(cost);
            if let Some(slice) = slices.last_mut() {
                slice.members.push((key.clone(), *intent));
            }
        }
        slices
    }

    fn lists(&self) -> Lists<'_> {
        let both = |drop, move_to| {
            let keys = self.keys(drop).chain(self.keys(move_to));
            keys.chain(self.keys(MemberIntent::Drop)).collect()
        };
        Lists {
            included_add: self.keys(MemberIntent::Include).collect(),
            included_remove: both(MemberIntent::DropIncluded, MemberIntent::Exclude),
            excluded_add: self.keys(MemberIntent::Exclude).collect(),
            excluded_remove: both(MemberIntent::DropExcluded, MemberIntent::Include),
        }
    }

    /// The body for a big segment; only the lists that change.
    pub(super) fn to_user_state(&self) -> Value {
        let Lists { included_add, included_remove, excluded_add, excluded_remove } = self.lists();
        let list = |add: Vec<&str>, remove: Vec<&str>| -> Map<String, Value> {
            [("add", add), ("remove", remove)]
                .into_iter()
                .filter(|(_, keys)| !keys.is_empty())
                .map(|(name, keys)| (name.to_owned(), json!(keys)))
                .collect()
        };
        [
            ("included", list(included_add, included_remove)),
            ("excluded", list(excluded_add, excluded_remove)),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| (name.to_owned(), Value::Object(list)))
        .collect()
    }

    /// The semantic patch for a standard segment. Removals come first, so that no key is in both
    /// lists in between.
    pub(super) fn to_semantic_patch(&self, environment: &str, context_kind: &str) -> Value {
        let Lists { included_add, included_remove, excluded_add, excluded_remove } = self.lists();
        let instructions: Vec<_> = [
            ("removeIncludedTargets", included_remove),
            ("removeExcludedTargets", excluded_remove),
            ("addIncludedTargets", included_add),
            ("addExcludedTargets", excluded_add),
        ]
        .into_iter()
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(kind, keys)| json!({ "kind": kind, "contextKind": context_kind, "values": keys }))
        .collect();
        json!({ "environmentKey": environment, "comment": COMMENT, "instructions": instructions })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;

    const INTENTS: [MemberIntent; 5] = [
        MemberIntent::Include,
        MemberIntent::Exclude,
        MemberIntent::DropIncluded,
        MemberIntent::DropExcluded,
        MemberIntent::Drop,
    ];

    fn changes(intents: &[(&str, MemberIntent)]) -> MemberChanges {
        MemberChanges::from_intents(intents.iter().map(|(key, its)| ((*key).to_owned(), *its)))
    }

    #[test]
    fn bodies_hold_what_changes_and_nothing_else() {
        let all = changes(&[
            ("a", INTENTS[0]),
            ("b", INTENTS[1]),
            ("c", INTENTS[2]),
            ("d", INTENTS[3]),
            ("e", INTENTS[4]),
        ]);
        assert_eq!(
            all.to_user_state(),
            json!({
                "included": {"add": ["a"], "remove": ["c", "b", "e"]},
                "excluded": {"add": ["b"], "remove": ["d", "a", "e"]},
            })
        );
        assert_eq!(
            all.to_semantic_patch("production", "user"),
            json!({
                "environmentKey": "production",
                "comment": COMMENT,
                "instructions": [
                    {"kind": "removeIncludedTargets", "contextKind": "user", "values": ["c", "b", "e"]},
                    {"kind": "removeExcludedTargets", "contextKind": "user", "values": ["d", "a", "e"]},
                    {"kind": "addIncludedTargets", "contextKind": "user", "values": ["a"]},
                    {"kind": "addExcludedTargets", "contextKind": "user", "values": ["b"]},
                ],
            })
        );
        let removal = changes(&[("c", MemberIntent::DropIncluded)]);
        assert_eq!(removal.to_user_state(), json!({"included": {"remove": ["c"]}}));
    }

    #[test]
    fn slices_are_as_full_as_they_can_be() {
        let of = |count: usize, intent| {
            MemberChanges::from_intents((0..count).map(|n| (n.to_string(), intent)))
        };
        let sizes = |changes: MemberChanges| -> Vec<usize> {
            changes.slices(1_500).iter().map(|slice| slice.members.len()).collect()
        };
        assert_eq!(sizes(of(0, MemberIntent::Include)), [0_usize; 0]);
        assert_eq!(sizes(of(1_500, MemberIntent::DropIncluded)), [1_500]);
        assert_eq!(sizes(of(1_501, MemberIntent::DropIncluded)), [1_500, 1]);
        assert_eq!(sizes(of(1_600, MemberIntent::Include)), [750, 750, 100]);
    }

    /// A segment's two lists, changed by the body for a big segment as a set each.
    fn apply(lists: &mut [Vec<String>; 2], body: &Value) {
        for (list, name) in lists.iter_mut().zip(["included", "excluded"]) {
            let keys = |part| body[name][part].as_array().into_iter().flatten();
            for key in keys("remove") {
                list.retain(|member| *member != key.as_str().unwrap());
            }
            for key in keys("add").map(|key| key.as_str().unwrap()) {
                if !list.iter().any(|member| member == key) {
                    list.push(key.to_owned());
                }
            }
        }
    }

    proptest! {
        /// C1 and C2: many changes at once end as each of them in its turn would.
        #[test]
        fn changes_at_once_end_like_changes_in_turn(
            intents in vec((select(vec!["a", "b", "c"]), select(&INTENTS[..])), 0..12),
            start in subsequence(vec!["a", "b", "c"], 0..=3),
        ) {
            let newest = changes(&intents);
            let mut at_once: [Vec<String>; 2] =
                [start.iter().map(|key| (*key).to_owned()).collect(), Vec::new()];
            let mut in_turn = at_once.clone();
            apply(&mut at_once, &newest.to_user_state());
            for (key, intent) in newest.members() {
                apply(&mut in_turn, &changes(&[(key, *intent)]).to_user_state());
            }
            for list in at_once.iter_mut().chain(&mut in_turn) {
                list.sort();
            }
            prop_assert_eq!(&at_once, &in_turn);
            prop_assert!(at_once[0].iter().all(|key| !at_once[1].contains(key)));
            for (key, intent) in newest.members() {
                let last = intents.iter().rev().find(|(its, _)| its == key).unwrap().1;
                prop_assert_eq!(*intent, last);
                prop_assert_eq!(newest.members().iter().filter(|(its, _)| its == key).count(), 1);
            }
        }

        #[test]
        fn c3_slices_lose_nothing(
            intents in vec((0..200_u32, select(&INTENTS[..])), 0..120),
            max in 0..40_usize,
        ) {
            let whole = MemberChanges::from_intents(
                intents.into_iter().map(|(key, intent)| (key.to_string(), intent)),
            );
            let slices = whole.slices(max);
            let joined: Vec<_> = slices.iter().flat_map(|slice| slice.members.clone()).collect();
            prop_assert_eq!(&joined, &whole.members);
            for slice in &slices {
                let cost: usize = slice.members.iter().map(|(_, its)| its.operations()).sum();
                prop_assert!(!slice.is_empty() && (cost <= max || slice.members.len() == 1));
            }
        }
    }
}
