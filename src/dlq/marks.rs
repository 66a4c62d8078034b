//! Which letters of a partition were replayed, small enough to stand beside a committed offset.
//!
//! All below `next` were, and some runs above it. As text: `ldsink-dlq/1 3+1,a+14`, each run by its
//! distance from the end of the one before (from `next`, for the first) and its length, hexadecimal.
//!
//! # Invariants
//! - K1: a letter is marked if it was added, and stays so.
//! - K2: the text is never longer than brokers accept; what would make it so is not added.
//! - K3: `next` never moves back, and nothing above it is forgotten.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Well within the 4,096 bytes that brokers accept by default (`offset.metadata.max.bytes`).
const TEXT_LIMIT: usize = 3_500;
const PREFIX: &str = "ldsink-dlq/1";

/// The marks of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    next: i64,
    /// Start → end (exclusive) of runs above `next`, none of which touch.
    runs: BTreeMap<i64, i64>,
}

/// There are too many gaps between the letters that were replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the letters replayed so far lie too scattered to be kept in mind; replay or skip older ones first"
)]
pub struct TooScattered;

/// The text beside the offset is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what the replay group has committed was not written by `ldsink dlq replay`")]
pub struct Foreign;

impl Marks {
    /// Those of a partition whose letters begin at `low`.
    pub fn new(low: i64) -> Self {
        Self { next: low, runs: BTreeMap::new() }
    }

    pub fn read(next: i64, text: &str) -> Result<Self, Foreign> {
        let mut marks = Self::new(next);
        let text = text.strip_prefix(PREFIX).ok_or(Foreign)?;
        let mut floor = next;
        for run in text.split([' ', ',']).filter(|run| !run.is_empty()) {
            let (gap, length) = run.split_once('+').ok_or(Foreign)?;
            let number = |text| i64::from_str_radix(text, 16).ok().filter(|n| *n > 0);
            let ends = number(gap).zip(number(length)).and_then(|(gap, length)| {
                let start = floor.checked_add(gap)?;
                Some((start, start.checked_add(length)?))
            });
            let (start, end) = ends.ok_or(Foreign)?;
            marks.runs.insert(start, end);
            floor = end;
        }
        Ok(marks)
    }

    pub fn next(&self) -> i64 {
        self.next
    }

    pub fn text(&self) -> String {
        let (mut text, mut floor, mut separator) = (PREFIX.to_owned(), self.next, ' ');
        for (start, end) in &self.runs {
            let written = write!(text, "{separator}{:x}+{:x}", start - floor, end - start);
            debug_assert!(written.is_ok(), "writing to a string never fails");
            (floor, separator) = (*end, ',');
        }
        text
    }

    pub fn has(&self, offset: i64) -> bool {
        offset < self.next
            || self.runs.range(..=offset).next_back().is_some_and(|(_, end)| offset < *end)
    }

    /// Letters below `low` are gone from the log, so nothing need be known of them.
    pub fn forget_below(&mut self, low: i64) {
        self.next = self.next.max(low);
        self.absorb();
    }

    /// Marks a letter.
    ///
    /// # Errors
    /// There is no room for it (K2); nothing has changed then.
    pub fn add(&mut self, offset: i64) -> Result<(), TooScattered> {
        if self.has(offset) {
            return Ok(());
        }
        let before = self.clone();
        let mut start = offset;
        let mut end = offset + 1;
        if let Some((left, _)) =
            self.runs.range(..offset).next_back().filter(|(_, e)| **e == offset)
        {
            start = *left;
        }
        if let Some(right) = self.runs.remove(&end) {
            end = right;
        }
        self.runs.insert(start, end);
        self.absorb();
        if self.text().len() > TEXT_LIMIT {
            *self = before;
            return Err(TooScattered);
        }
        Ok(())
    }

    fn absorb(&mut self) {
        while let Some((start, end)) = self.runs.first_key_value().map(|(s, e)| (*s, *e)) {
            if start > self.next {
                break;
            }
            self.next = self.next.max(end);
            self.runs.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{ProptestConfig, prop, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn what_fits_no_more_is_not_added() {
        let mut marks = Marks::new(0);
        let added = (1..4_000).take_while(|n| marks.add(n * 2).is_ok()).count();
        assert!(added > 500, "{added}");
        assert!(marks.text().len() <= TEXT_LIMIT);
        let full = marks.clone();
        assert_eq!(marks.add(1_000_000), Err(TooScattered));
        assert_eq!(marks, full);
        // Closing a gap makes room.
        marks.add(3).unwrap();
        marks.forget_below(500);
        marks.add(1_000_000).unwrap();
    }

    #[test]
    fn a_text_of_others_is_told_apart() {
        for text in ["", "ldsink/1 3f9a1c2b.7d04e655:0+1f3", "ldsink-dlq/1 x", "ldsink-dlq/1 0+1"] {
            assert_eq!(Marks::read(5, text), Err(Foreign), "{text}");
        }
        assert_eq!(Marks::read(5, PREFIX), Ok(Marks::new(5)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// K1 and K3 against a set, through the text and back at every step.
        #[test]
        fn equal_a_set(
            low in 0..20_i64,
            steps in prop::collection::vec((0..80_i64, prop::bool::weighted(0.1)), 0..120),
        ) {
            let mut marks = Marks::new(low);
            let mut model: BTreeSet<i64> = (0..low).collect();
            for (offset, retention) in steps {
                if retention {
                    marks.forget_below(offset);
                    model.extend(0..offset);
                } else {
                    marks.add(offset).unwrap();
                    model.insert(offset);
                }
                marks = Marks::read(marks.next(), &marks.text()).unwrap();
                for offset in 0..90 {
                    prop_assert_eq!(marks.has(offset), model.contains(&offset), "{}", offset);
                }
            }
        }
    }
}
