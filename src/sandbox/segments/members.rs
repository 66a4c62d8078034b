//! Knows who is named in a segment: two lists, included and excluded, per context kind.
//!
//! A list is a sorted set, so that adding, removing and looking up stay cheap with a million keys
//! and answers are the same each time. LaunchDarkly's own order is undocumented.
//!
//! # Invariants
//! - E1: an applied plan leaves no key on both lists.
//! - E2: adding what is there and removing what is not change nothing.
//!
//! Not here: limits on the number of keys (`amendment`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::name::Name;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::sandbox) enum List {
    Included,
    Excluded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Verb {
    Add,
    Remove,
}

/// One key onto or off one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Move {
    pub(in crate::sandbox) verb: Verb,
    pub(in crate::sandbox) list: List,
    pub(in crate::sandbox) context_kind: Name,
    pub(in crate::sandbox) key: Name,
}

/// Keys by context kind; a kind without keys is absent.
pub(in crate::sandbox) type ByKind = BTreeMap<Name, BTreeSet<Name>>;

/// The two lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::sandbox) struct Members {
    pub(in crate::sandbox) included: ByKind,
    pub(in crate::sandbox) excluded: ByKind,
}

/// A key would be on both lists.
#[derive(Debug, thiserror::Error)]
#[error("{context_kind} {key} would be both included and excluded; remove it from one list first")]
pub(super) struct Contradiction {
    context_kind: Name,
    key: Name,
}

// === impl List ===

impl List {
    fn other(self) -> Self {
        match self {
            Self::Included => Self::Excluded,
            Self::Excluded => Self::Included,
        }
    }
}

// === impl Members ===

impl Members {
    pub(in crate::sandbox) fn of(&self, list: List) -> &ByKind {
        match list {
            List::Included => &self.included,
            List::Excluded => &self.excluded,
        }
    }

    pub(in crate::sandbox) fn contains(&self, list: List, kind: &str, key: &str) -> bool {
        self.of(list).get(kind).is_some_and(|keys| keys.contains(key))
    }

    pub(in crate::sandbox) fn count(&self, list: List) -> usize {
        self.of(list).values().map(BTreeSet::len).sum()
    }

    /// Plays moves through without making them. Returns how many keys there would be on both lists.
    ///
    /// # Errors
    /// A key is added to a list while it is on the other, at that point of the order.
    pub(super) fn plan(&self, moves: &[Move]) -> Result<usize, Contradiction> {
        let mut planned: HashMap<(List, &str, &str), bool> = HashMap::new();
        let mut total = self.count(List::Included) + self.count(List::Excluded);
        for step in moves {
            let Move { verb, list, context_kind, key } = step;
            let holds = |planned: &HashMap<_, bool>, list: List| {
                let known = planned.get(&(list, &**context_kind, &**key)).copied();
                known.unwrap_or_else(|| self.contains(list, context_kind, key))
            };
            let present = holds(&planned, *list);
            let wanted = *verb == Verb::Add;
            if wanted && holds(&planned, list.other()) {
                let (context_kind, key) = (context_kind.clone(), key.clone());
                return Err(Contradiction { context_kind, key });
            }
            match (present, wanted) {
                (false, true) => total += 1,
                (true, false) => total -= 1,
                (true, true) | (false, false) => {}
            }
            planned.insert((*list, context_kind, key), wanted);
        }
        Ok(total)
    }

    /// Makes the moves in order. Returns whether any changed something.
    pub(super) fn apply(&mut self, moves: &[Move]) -> bool {
        moves.iter().filter(|step| self.make(step)).count() > 0
    }

    fn make(&mut self, step: &Move) -> bool {
        let Move { verb, list, context_kind, key } = step;
        let lists = match list {
            List::Included => &mut self.included,
            List::Excluded => &mut self.excluded,
        };
        match verb {
            Verb::Add => lists.entry(context_kind.clone()).or_default().insert(key.clone()),
            Verb::Remove => {
                let Some(keys) = lists.get_mut(&**context_kind) else { return false };
                let removed = keys.remove(&**key);
                if keys.is_empty() {
                    lists.remove(&**context_kind);
                }
                removed
            }
        }
    }

    /// Returns the moves that lead from these members to others, removals first.
    pub(super) fn moves_to(&self, wanted: &Self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (verb, from, to) in [(Verb::Remove, self, wanted), (Verb::Add, wanted, self)] {
            for list in [List::Included, List::Excluded] {
                for (kind, keys) in from.of(list) {
                    let missing = keys.iter().filter(|key| !to.contains(list, kind, key));
                    moves.extend(missing.map(|key| Move {
                        verb,
                        list,
                        context_kind: kind.clone(),
                        key: key.clone(),
                    }));
                }
            }
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(verb: Verb, list: List, key: &str) -> Move {
        Move { verb, list, context_kind: "user".into(), key: key.into() }
    }

    fn add(key: &str) -> Move {
        step(Verb::Add, List::Included, key)
    }

    #[test]
    fn a_key_is_on_one_list_at_a_time_e1() {
        let mut members = Members::default();
        assert_eq!(members.plan(&[add("a"), add("b"), add("a")]).expect("fits"), 2);
        members.apply(&[add("a"), add("b")]);
        let exclude = step(Verb::Add, List::Excluded, "a");
        let release = step(Verb::Remove, List::Included, "a");
        members.plan(std::slice::from_ref(&exclude)).expect_err("on both");
        members.plan(&[exclude.clone(), release.clone()]).expect_err("on both for a moment");
        assert_eq!(members.plan(&[release, exclude]).expect("fits"), 2);
    }

    #[test]
    fn the_same_key_of_another_kind_is_another_context() {
        let mut members = Members::default();
        members.apply(&[add("a")]);
        let device = Move { context_kind: "device".into(), ..step(Verb::Add, List::Excluded, "a") };
        assert_eq!(members.plan(&[device]).expect("fits"), 2);
    }

    #[test]
    fn repeats_change_nothing_e2() {
        let mut members = Members::default();
        assert!(members.apply(&[add("a"), add("b")]));
        assert!(!members.apply(&[add("a"), step(Verb::Remove, List::Excluded, "b")]));
        assert!(members.apply(&[add("a"), step(Verb::Remove, List::Included, "b")]));
        assert_eq!(members.count(List::Included), 1);
    }

    #[test]
    fn moves_lead_from_any_members_to_any_others() {
        let (mut from, mut to) = (Members::default(), Members::default());
        from.apply(&[add("a"), add("b"), step(Verb::Add, List::Excluded, "c")]);
        to.apply(&[add("c"), add("b"), step(Verb::Add, List::Excluded, "a")]);
        let moves = from.moves_to(&to);
        assert_eq!(moves.len(), 4);
        from.plan(&moves).expect("no contradiction on the way");
        from.apply(&moves);
        assert_eq!(from, to);
    }
}
