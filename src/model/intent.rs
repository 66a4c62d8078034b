//! What is wanted of one part of a lane's thing, of a segment's member for instance, after several
//! changes to it have come together before any of them was sent.
//!
//! Most changes replace the older ones. Not all do: a member that one route includes and another one
//! takes off the list of excluded is meant to be included, whichever comes last.
//!
//! # Invariants
//! - I1: what is wanted is what the changes, applied one after another, would give.
//! - I2: every slot is held once, until it is taken.
//! - I3: each change that stands can be repeated alone, in any order with the others that stand,
//!   and gives the right end.
//!
//! Not here: when it is sent (`pipeline::coalesce`), what it means to LaunchDarkly
//! (`pipeline::deliver`).

use super::progress::Slot;

/// A wish that may meet an older one for the same part.
pub trait Succession: Clone {
    /// Whether nobody needs to know the older wish any more.
    fn replaces(&self, older: &Self) -> bool;
    /// The wish that comes to the older one and then this one.
    #[must_use]
    fn after(self, older: &Self) -> Self;
}

/// The wishes for one part, and everything that settles with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent<P, V> {
    pub part: P,
    newest: (V, Slot),
    /// Older ones that the newest did not replace, in the order they came.
    older: Vec<(V, Slot)>,
    /// Of wishes that newer ones replaced.
    replaced: Vec<Slot>,
}

/// The slots of wishes that ended together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slots {
    /// Those whose wishes stood to the end, in the order they came.
    pub standing: Vec<Slot>,
    pub replaced: Vec<Slot>,
}

/// What is left when some of the slots are somebody else's.
#[derive(Debug)]
pub enum Left<P, V> {
    Intent(Intent<P, V>),
    /// No wish; these slots of replaced ones can be settled.
    Nothing(Vec<Slot>),
}

// === impl Intent ===

impl<P, V: Succession> Intent<P, V> {
    pub fn new(part: P, wish: V, slot: Slot) -> Self {
        Self { part, newest: (wish, slot), older: Vec::new(), replaced: Vec::new() }
    }

    /// Takes a newer wish. Gives whether it replaced any.
    pub fn follow(&mut self, wish: V, slot: Slot) -> bool {
        let before = self.replaced.len();
        let replaced = |(old, _): &mut (V, Slot)| wish.replaces(old);
        let gone: Vec<_> = self.older.extract_if(.., replaced).collect();
        let newest_too = wish.replaces(&self.newest.0);
        let mut sum = if newest_too { wish.after(&self.newest.0) } else { wish };
        for (old, its) in gone.into_iter().rev() {
            sum = sum.after(&old);
            self.replaced.push(its);
        }
        let (old, its) = std::mem::replace(&mut self.newest, (sum, slot));
        if newest_too {
            self.replaced.push(its);
        } else {
            self.older.push((old, its));
        }
        self.replaced.len() > before
    }

    /// What is wanted in the end.
    pub fn wanted(&self) -> V {
        self.older.iter().rev().fold(self.newest.0.clone(), |wanted, (old, _)| wanted.after(old))
    }

    /// The slots of the wishes that stand.
    pub fn standing(&self) -> impl Iterator<Item = &Slot> {
        self.older.iter().chain([&self.newest]).map(|(_, slot)| slot)
    }

    /// All its slots.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.standing().chain(&self.replaced)
    }

    pub fn into_slots(self) -> Slots {
        let standing = self.older.into_iter().chain([self.newest]).map(|(_, slot)| slot).collect();
        Slots { standing, replaced: self.replaced }
    }

    /// Takes back the wishes that are no longer ours: somebody else sees to them. What they replaced
    /// is done with.
    pub fn keep(mut self, is_ours: impl Fn(&Slot) -> bool) -> Left<P, V> {
        self.replaced.retain(&is_ours);
        self.older.retain(|(_, slot)| is_ours(slot));
        if !is_ours(&self.newest.1) {
            let Some(newest) = self.older.pop() else { return Left::Nothing(self.replaced) };
            self.newest = newest;
        }
        Left::Intent(self)
    }
}

// === impl Slots ===

impl Slots {
    /// All of them, those that stood to the end last.
    pub fn all(mut self) -> Vec<Slot> {
        self.replaced.append(&mut self.standing);
        self.replaced
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::model::fence::Fence;
    use crate::model::operation::MemberList::{Excluded, Included};
    use crate::model::operation::Membership::{self, In, OutOf};
    use crate::model::progress::Epoch;
    use crate::model::record::Partition;
    use crate::model::routes::RouteSet;

    const WISHES: [Membership; 4] = [In(Included), In(Excluded), OutOf(Included), OutOf(Excluded)];

    fn slot(partition: i32, offset: i64) -> Slot {
        let (partition, fence) = (Partition::new("t", partition), Fence::default());
        let routes = RouteSet::of(0);
        Slot {
            partition,
            epoch: Epoch(1),
            offset,
            bytes: 1,
            fence,
            events_of: None,
            routes,
            time_ms: None,
            trace: None,
        }
    }

    /// A member's place in (included, excluded) after a wish.
    fn apply((included, excluded): (bool, bool), wish: Membership) -> (bool, bool) {
        match wish {
            In(Included) => (true, false),
            In(Excluded) => (false, true),
            OutOf(Included) => (false, excluded),
            OutOf(Excluded) => (included, false),
            Membership::Nowhere => (false, false),
        }
    }

    fn of(wishes: &[(Membership, i32)]) -> Intent<(), Membership> {
        let ((first, partition), rest) = wishes.split_first().unwrap();
        let mut intent = Intent::new((), *first, slot(*partition, 0));
        for ((wish, partition), offset) in rest.iter().zip(1..) {
            intent.follow(*wish, slot(*partition, offset));
        }
        intent
    }

    #[test]
    fn a_wish_for_one_list_leaves_one_for_the_other_standing() {
        let both = of(&[(In(Included), 0), (OutOf(Excluded), 0)]);
        assert_eq!(both.wanted(), In(Included));
        assert_eq!(both.standing().count(), 2);
        let back = of(&[(In(Included), 0), (OutOf(Included), 0)]);
        assert_eq!((back.wanted(), back.standing().count()), (Membership::Nowhere, 1));
    }

    #[test]
    fn what_is_somebody_else_s_is_taken_back_and_the_rest_stands() {
        let ours = |slot: &Slot| slot.partition.number == 0;
        let Left::Intent(left) = of(&[(In(Included), 0), (OutOf(Excluded), 1)]).keep(ours) else {
            panic!("the inclusion is ours");
        };
        assert_eq!(left.wanted(), In(Included));
        let Left::Nothing(done) = of(&[(In(Included), 0), (In(Excluded), 1)]).keep(ours) else {
            panic!("the wish that counts is not ours");
        };
        assert_eq!(done, [slot(0, 0)]);
    }

    proptest! {
        #[test]
        fn it_is_what_the_changes_in_turn_would_give_i1_i2_i3(
            wishes in prop::collection::vec(select(&WISHES[..]), 1..8),
            start in any::<(bool, bool)>().prop_filter("on one list", |(i, e)| !(*i && *e)),
        ) {
            let tagged: Vec<_> = wishes.iter().map(|wish| (*wish, 0)).collect();
            let intent = of(&tagged);
            let in_turn = wishes.iter().fold(start, |place, wish| apply(place, *wish));
            prop_assert_eq!(apply(start, intent.wanted()), in_turn, "I1");
            let slots = intent.into_slots();
            let standing: Vec<i64> = slots.standing.iter().map(|slot| slot.offset).collect();
            let all: BTreeSet<i64> = slots.clone().all().iter().map(|slot| slot.offset).collect();
            prop_assert_eq!(all.len(), wishes.len(), "I2");
            prop_assert_eq!(slots.all().len(), wishes.len(), "I2");
            // What stood is sent again by somebody, the newest first, on nothing that came before.
            let again = |order: &mut dyn Iterator<Item = &i64>| {
                order.fold((false, false), |place, at| {
                    apply(place, wishes[usize::try_from(*at).unwrap()])
                })
            };
            let fresh = wishes.iter().fold((false, false), |place, wish| apply(place, *wish));
            prop_assert_eq!(again(&mut standing.iter()), fresh, "I3");
            prop_assert_eq!(again(&mut standing.iter().rev()), fresh, "I3");
        }
    }
}
