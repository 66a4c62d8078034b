//! How much may be produced ahead of the pipeline, and how fast.
//!
//! The embedded broker keeps 5 MiB per partition and silently forgets what is older, read or not. So
//! the generator counts, per partition, the bytes that the consumer group has not committed yet, and
//! waits before they could fill the partition. Commits are the measure because a record below the
//! committed offset is settled and never read again; one that was merely fetched might be.
//!
//! # Invariants
//! - W1: a partition's uncommitted bytes exceed the limit by less than one record.

use std::collections::VecDeque;
use std::time::Duration;

/// Of the broker's 5 MiB per partition: the rest is room for what batches and headers add.
const LIMIT_BYTES: u64 = 3 * 1024 * 1024;
/// Counted per record beside key and value: offsets, lengths, its share of the batch header.
const OVERHEAD_BYTES: u64 = 96;

/// The uncommitted bytes of one partition.
#[derive(Debug, Default)]
pub(super) struct Window {
    uncommitted: u64,
    /// Acknowledged records in order of their offsets, with their bytes.
    acknowledged: VecDeque<(i64, u64)>,
}

// === impl Window ===

impl Window {
    pub(super) fn has_room(&self) -> bool {
        self.uncommitted < LIMIT_BYTES
    }

    /// A record of so many bytes, key and value, was handed to the producer.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.uncommitted += cost(bytes);
    }

    /// The broker has it at this offset.
    pub(super) fn acknowledged(&mut self, offset: i64, bytes: usize) {
        self.acknowledged.push_back((offset, cost(bytes)));
    }

    /// The group committed: everything below `next` is settled.
    pub(super) fn committed(&mut self, next: i64) {
        while let Some((offset, bytes)) = self.acknowledged.front().copied()
            && offset < next
        {
            self.acknowledged.pop_front();
            self.uncommitted = self.uncommitted.saturating_sub(bytes);
        }
    }
}

fn cost(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(LIMIT_BYTES) + OVERHEAD_BYTES
}

/// How many records are due after `elapsed` at `per_second`.
pub(super) fn due(elapsed: Duration, per_second: u32) -> u64 {
    let due = elapsed.as_micros() * u128::from(per_second) / 1_000_000;
    u64::try_from(due).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::*;

    const LIMIT: usize = 3 * 1024 * 1024;

    #[test]
    fn a_commit_frees_what_lies_below_it_and_nothing_else() {
        let mut window = Window::default();
        for offset in 0..3 {
            window.sent(LIMIT / 3);
            window.acknowledged(offset, LIMIT / 3);
        }
        assert!(!window.has_room());
        window.committed(0);
        assert!(!window.has_room(), "the committed offset is the next one, not the last one");
        window.committed(1);
        assert!(window.has_room());
        window.committed(3);
        assert_eq!(window.uncommitted, 0);
    }

    #[test]
    fn what_is_sent_counts_before_it_is_acknowledged() {
        let mut window = Window::default();
        window.sent(LIMIT);
        window.committed(1_000);
        assert!(!window.has_room());
    }

    #[test]
    fn the_rate_is_kept_to_the_record() {
        assert_eq!(due(Duration::from_millis(1_500), 20_000), 30_000);
        assert_eq!(due(Duration::from_micros(49), 20_000), 0);
        assert_eq!(due(Duration::from_micros(50), 20_000), 1);
    }

    proptest! {
        #[test]
        fn the_uncommitted_bytes_stay_below_what_the_broker_keeps_w1(
            steps in prop::collection::vec((1..2_000_usize, 0..3_000_i64), 1..6_000),
        ) {
            let (mut window, mut offset) = (Window::default(), 0);
            for (size, lag) in steps {
                if window.has_room() {
                    window.sent(size);
                    window.acknowledged(offset, size);
                    offset += 1;
                }
                window.committed(offset - lag);
                prop_assert!(window.uncommitted < LIMIT_BYTES + 2_000 + OVERHEAD_BYTES);
            }
        }
    }
}
