//! Which routes of a topic something concerns: small enough to stand beside every record in flight.
//!
//! A route is named by its place among the routes of its topic, in the configuration's order.

use std::sync::Arc;

use uuid::Uuid;

/// Places that are told apart. Those from the last one on share it, so that what concerns one of them
/// concerns all: rather too many than one forgotten.
const PLACES: usize = 32;

/// Some of the routes of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct RouteSet(u32);

/// What maps the records of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMapping {
    /// Their names by place.
    pub routes: Vec<Arc<str>>,
    /// Another one maps them otherwise.
    pub fingerprint: Uuid,
}

impl RouteSet {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(u32::MAX);

    /// The route at a place.
    pub fn of(place: usize) -> Self {
        Self(1 << place.min(PLACES - 1))
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn has(self, place: usize) -> bool {
        self.0 & Self::of(place).0 != 0
    }

    /// Those of both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not of the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Picks what belongs to these routes out of a list in their order.
    pub fn pick<T>(self, all: &[T]) -> impl Iterator<Item = &T> {
        all.iter().enumerate().filter(move |(place, _)| self.has(*place)).map(|(_, it)| it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_beyond_the_last_share_it() {
        let set = RouteSet::of(1).and(RouteSet::of(40));
        let picked: Vec<usize> = set.pick(&(0..50).collect::<Vec<_>>()).copied().collect();
        assert_eq!(picked.first(), Some(&1));
        assert_eq!(picked[1..], (31..50).collect::<Vec<_>>());
        assert!(RouteSet::NONE.is_empty() && RouteSet::NONE.pick(&[1, 2]).next().is_none());
        assert_eq!(RouteSet::ALL.pick(&[1, 2]).count(), 2);
    }
}
