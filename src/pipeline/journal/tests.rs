//! The journal and its text.

use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use uuid::Uuid;

use super::*;
use crate::model::routes::RouteSet;

const A: TargetId = TargetId(0);
const B: TargetId = TargetId(1);

fn journal(mapping: u128) -> Journal {
    let mapping = MappingFingerprint(Uuid::from_u128(mapping << 96));
    Journal::new([(A, "production", mapping), (B, "staging", mapping)].into_iter())
}

fn edges(first: i64, last: i64) -> Edges {
    Edges { first, last }
}

fn mark(offset: i64) -> Mark {
    Mark { offset, end: 0, events: 1, routes: RouteSet::of(0), time_ms: None }
}

fn marks(offsets: &[i64]) -> Vec<Mark> {
    offsets.iter().map(|offset| mark(*offset)).collect()
}

#[test]
fn a_batch_ends_with_its_last_part_and_its_edges_stay_until_the_progress_is_past_them() {
    let mut journal = journal(1);
    assert_eq!(journal.cut(A, edges(5, 9), 3, Check(1)), Release::AfterCommit(1));
    assert_eq!(journal.accept(A, marks(&[5, 7])), None);
    let ended = journal.bury(A, 9).unwrap();
    assert_eq!(ended, Ended { accepted: vec![marks(&[5, 7])], dead: vec![9] });
    // 6 still owes something else.
    journal.forget_below(NextOffset(6));
    let text = journal.write(NextOffset(6)).text;
    assert!(text.ends_with(":0*3"), "{text}");
    journal.forget_below(NextOffset(10));
    assert_eq!(journal.write(NextOffset(10)).text, "");
}

#[test]
fn the_next_owner_cuts_the_same_batches_and_skips_what_was_accepted() {
    let mut before = journal(1);
    before.cut(A, edges(5, 9), 3, Check(0xab));
    before.cut(A, edges(10, 12), 2, Check(0xcd));
    before.cut(B, edges(6, 6), 1, Check(0xef));
    before.accept(A, marks(&[10, 12])).unwrap();
    let Written { text, cuts } = before.write(NextOffset(5));
    assert_eq!(cuts, 3);

    let mut after = journal(1);
    after.recover(&text, NextOffset(5)).unwrap();
    assert!(after.is_recovering());
    assert_eq!(after.place(A, 5), Place::Planned(edges(5, 9)));
    assert_eq!(after.place(B, 5), Place::Free);
    assert_eq!(after.place(B, 6), Place::Planned(edges(6, 6)));
    assert_eq!(after.cut(B, edges(6, 6), 1, Check(0xef)), Release::Now, "J1: it is written");
    assert_eq!(
        after.cut(A, edges(5, 9), 3, Check(0xff)),
        Release::AfterCommit(2),
        "another content"
    );
    assert_eq!(after.place(A, 11), Place::Done);
    assert!(after.is_recovering());
    after.pass_below(A, 13);
    assert!(!after.is_recovering());
    let text = after.write(NextOffset(5)).text;
    assert!(text.contains(":0+4.0000ff,0*2 "), "J2: {text}");
}

#[test]
fn under_another_mapping_only_what_was_accepted_is_known() {
    let mut before = journal(1);
    before.cut(A, edges(5, 9), 3, Check(0xab));
    before.cut(A, edges(10, 12), 2, Check(0xcd));
    before.accept(A, marks(&[10, 12])).unwrap();
    let text = before.write(NextOffset(5)).text;
    let mut after = journal(2);
    after.recover(&text, NextOffset(5)).unwrap();
    assert_eq!(after.place(A, 7), Place::Foreign);
    assert_eq!(after.cut(A, edges(5, 7), 2, Check(1)), Release::AfterCommit(1));
    // What the other mapping cut overlaps what this one does, and stays known where it does not.
    let text = after.write(NextOffset(5)).text;
    assert!(text.ends_with(":0+2.000001,0?1,0*2"), "{text}");
    after.pass_below(A, 10);
    assert_eq!(after.place(A, 11), Place::Done);
}

#[test]
fn what_is_not_ours_and_what_is_damaged_are_told_apart() {
    let read = |text| journal(1).recover(text, NextOffset(5));
    assert_eq!(read(""), Ok(()));
    assert_eq!(read("checkpoint 17"), Err(JournalError::Foreign));
    for damaged in [
        "ldsink/2 1.1:0+1.00",
        "ldsink/1 xyz",
        "ldsink/1 1.1:",
        "ldsink/1 1.1:-3+1.00",
        "ldsink/1 1.1:0+1",
        "ldsink/1 1.1:7fffffffffffffff*7fffffffffffffff",
    ] {
        assert_eq!(read(damaged), Err(JournalError::Unreadable), "{damaged}");
    }
}

#[test]
fn what_does_not_fit_waits_until_something_ends() {
    let mut journal = journal(1);
    for n in 0..1_000_i64 {
        journal.cut(A, edges(n * 1_000, n * 1_000 + 900), 1, Check(0xff_ffff));
    }
    let Written { text, cuts } = journal.write(NextOffset(0));
    assert!(text.len() <= TEXT_LIMIT && text.len() > TEXT_LIMIT - 20, "J4: {}", text.len());
    assert!((100..1_000).contains(&cuts), "{cuts}");
    for n in 0..cuts.cast_signed() {
        journal.accept(A, marks(&[n * 1_000])).unwrap();
    }
    assert!(journal.write(NextOffset(0)).cuts > cuts * 19 / 10, "they have become one");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whatever was written is read again, from any progress on.
    #[test]
    fn what_is_written_is_read(
        batches in prop::collection::vec((1..5_i64, 0..2_000_i64, any::<u32>(), any::<bool>()), 0..40),
        next in 0..500_i64,
    ) {
        let next = NextOffset(next);
        let mut before = journal(7);
        let mut offset = 0;
        let mut expected = Vec::new();
        for (gap, span, check, done) in batches {
            let cut = edges(offset + gap, offset + gap + span);
            offset = cut.last;
            // What is open is never below the progress.
            let done = done || cut.first < next.0;
            before.cut(A, cut, 1, Check(check & 0xff_ffff));
            if done {
                before.accept(A, marks(&[cut.first]));
            }
            expected.push((cut, done));
        }
        before.forget_below(next);
        let mut after = journal(7);
        prop_assert!(after.recover(&before.write(next).text, next).is_ok());
        for (cut, done) in expected.into_iter().filter(|(cut, _)| cut.last >= next.0) {
            after.pass_below(A, cut.first.max(next.0));
            let place = after.place(A, cut.first.max(next.0));
            prop_assert_eq!(place, if done { Place::Done } else { Place::Planned(cut) });
        }
    }
}

fn piece(first: i64, last: i64, records: usize) -> Piece {
    Piece { edges: edges(first, last), records, check: Check(7) }
}

#[test]
fn parts_that_wait_become_batches_of_their_own() {
    let mut journal = journal(1);
    journal.cut(A, edges(0, 99), 100, Check(1));
    journal.cut(A, edges(100, 199), 100, Check(2));
    let head: Vec<i64> = (0..25).collect();
    assert_eq!(journal.accept(A, marks(&head)), None);
    assert_eq!(journal.bury(A, 25), None);
    // 26 is a letter that Kafka has not acknowledged.
    let parts = [piece(27, 49, 23), piece(50, 99, 50), piece(100, 199, 100)];
    let letters = [piece(25, 25, 1), piece(26, 26, 1)];
    let ended = journal.divide(A, &parts, &letters).unwrap();
    assert_eq!(ended, Ended { accepted: vec![marks(&head)], dead: vec![25] });
    let written = journal.write(NextOffset(26)).text;
    assert!(written.ends_with(":0+0.000007,0+16.000007,0+31.000007,0+63.000002"), "{written}");
    // Again, nothing changes; then they end one by one.
    assert_eq!(journal.divide(A, &parts, &letters).unwrap().accepted.len(), 0);
    assert_eq!(journal.write(NextOffset(26)).text, written);
    let tail: Vec<i64> = (50..100).collect();
    assert!(journal.accept(A, marks(&tail)).is_some());
    assert!(journal.bury(A, 26).is_some());
    let written = journal.write(NextOffset(27)).text;
    assert!(written.ends_with(":0+16.000007,0*31,0+63.000002"), "{written}");
}

#[test]
fn a_journal_that_would_grow_too_much_stays_as_it_is() {
    let mut journal = journal(1);
    for n in 0..40 {
        journal.cut(A, edges(n * 10, n * 10 + 9), 10, Check(1));
    }
    let parts: Vec<Piece> = (0..10).map(|n| piece(n, n, 1)).collect();
    let mut divided = 0;
    for n in 0..40 {
        let shift = |part: &Piece| {
            let Edges { first, last } = part.edges;
            Piece { edges: edges(first + n * 10, last + n * 10), ..*part }
        };
        let parts: Vec<Piece> = parts.iter().map(shift).collect();
        divided += usize::from(journal.divide(A, &parts, &[]).is_some());
    }
    assert!((5..40).contains(&divided), "{divided}");
    assert!(journal.write(NextOffset(0)).text.len() < TEXT_LIMIT);
}
