//! The journal as text, for the metadata of an offset commit.
//!
//! ```text
//! ldsink/1 3f9a1c2b.7d04e655:0+1f3.a0b1c2,1+1df.00ff31,4*99
//! ```
//!
//! Per target its tag and its mapping's, then its batches: the distance from the end of the one
//! before (from the progress, for the first), how the batch ended (`+` may have been sent, `*` accepted), the
//! distance from its first record to its last, and the check of its content. All numbers are
//! hexadecimal. Text, because brokers and tools have cut metadata at a zero byte.

use std::fmt::Write as _;

use super::{Check, Edges, JournalError, Planned, PlannedState, Tag};
use crate::model::progress::NextOffset;

const VERSION: &str = "ldsink/1";
const PREFIX: &str = "ldsink/";

/// Writes a journal, target by target. Empty when no target has batches.
pub(super) struct Writer {
    next: NextOffset,
    text: String,
}

impl Writer {
    pub(super) fn new(next: NextOffset) -> Self {
        Self { next, text: String::new() }
    }

    pub(super) fn target(&mut self, tag: Tag, runs: impl Iterator<Item = Planned>) {
        let mut floor = self.next.0;
        let mut first = true;
        for Planned { edges, state } in runs {
            // What was accepted may begin below the progress; what another mapping cut may overlap.
            let begin = edges.first.max(floor);
            if edges.last < begin {
                continue;
            }
            let result = match (first, self.text.is_empty()) {
                (true, true) => write!(self.text, "{VERSION} {tag}:"),
                (true, false) => write!(self.text, " {tag}:"),
                (false, _) => write!(self.text, ","),
            };
            let (gap, span) = (begin - floor, edges.last - begin);
            let result = result.and_then(|()| match state {
                PlannedState::Open(Check(check)) => {
                    write!(self.text, "{gap:x}+{span:x}.{check:06x}")
                }
                // A batch of another mapping stays one that nobody can cut again.
                PlannedState::Foreign => write!(self.text, "{gap:x}?{span:x}"),
                PlannedState::Done => write!(self.text, "{gap:x}*{span:x}"),
            });
            debug_assert!(result.is_ok(), "writing to a string never fails");
            (floor, first) = (edges.last + 1, false);
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}.{:08x}", self.target, self.mapping)
    }
}

/// Reads what a [`Writer`] wrote beside `next`.
pub(super) fn read(text: &str, next: NextOffset) -> Result<Vec<(Tag, Vec<Planned>)>, JournalError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if !text.starts_with(PREFIX) {
        return Err(JournalError::Foreign);
    }
    let mut words = text.split(' ');
    if words.next() != Some(VERSION) {
        return Err(JournalError::Unreadable);
    }
    words.map(|word| read_target(word, next).ok_or(JournalError::Unreadable)).collect()
}

fn read_target(word: &str, next: NextOffset) -> Option<(Tag, Vec<Planned>)> {
    let (tag, runs) = word.split_once(':')?;
    let (target, mapping) = tag.split_once('.')?;
    let tag = Tag {
        target: u32::from_str_radix(target, 16).ok()?,
        mapping: u32::from_str_radix(mapping, 16).ok()?,
    };
    let mut floor = next.0;
    let mut planned = Vec::new();
    for run in runs.split(',') {
        let run = read_run(run, floor)?;
        floor = run.edges.last.checked_add(1)?;
        planned.push(run);
    }
    Some((tag, planned))
}

fn read_run(run: &str, floor: i64) -> Option<Planned> {
    let sign = run.find(['+', '*', '?'])?;
    let (gap, rest) = run.split_at_checked(sign)?;
    let (sign, rest) = rest.split_at_checked(1)?;
    let (span, state) = match sign {
        "+" => {
            let (span, check) = rest.split_once('.')?;
            (span, PlannedState::Open(Check(u32::from_str_radix(check, 16).ok()?)))
        }
        "*" => (rest, PlannedState::Done),
        _ => (rest, PlannedState::Foreign),
    };
    let distance = |text: &str| i64::from_str_radix(text, 16).ok().filter(|n| *n >= 0);
    let first = floor.checked_add(distance(gap)?)?;
    let last = first.checked_add(distance(span)?)?;
    Some(Planned { edges: Edges { first, last }, state })
}
