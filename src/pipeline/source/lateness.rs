//! How late each partition is, in seconds: by the records that wait, and by how long nothing moved.
//!
//! Two questions that lag in records does not answer: how old is what LaunchDarkly does not have yet, and
//! is a partition stuck?

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::progress::{NextOffset, Standing};
use crate::model::record::Partition;

/// Follows the watermarks.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    /// Where each watermark stood when it was last seen to move.
    moved: HashMap<Partition, (Option<NextOffset>, Instant)>,
}

/// What is shown of a partition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Late {
    pub(super) oldest: Duration,
    pub(super) stands_still: Duration,
}

impl Lateness {
    /// `unread` says whether Kafka has records of the partition that were not handed to us yet.
    pub(super) fn of(
        &mut self,
        standing: &Standing,
        unread: bool,
        now_ms: i64,
        now: Instant,
    ) -> Late {
        let known = self.moved.entry(standing.partition.clone()).or_insert((None, now));
        let waits = standing.waits || unread;
        if !waits || known.0 != standing.position {
            *known = (standing.position, now);
        }
        // What is unread is younger than the last record that was read.
        let since_ms = standing.oldest_ms.or(standing.newest_ms).filter(|_| waits);
        let oldest_ms = since_ms.map_or(0, |since| now_ms.saturating_sub(since).max(0));
        Late {
            oldest: Duration::from_millis(oldest_ms.unsigned_abs()),
            stands_still: now.duration_since(known.1),
        }
    }

    /// A partition is no longer ours.
    pub(super) fn forget(&mut self, partition: &Partition) {
        self.moved.remove(partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(next: i64, waits: bool, oldest_ms: Option<i64>, newest_ms: i64) -> Standing {
        let (partition, position) = (Partition::new("t", 0), Some(NextOffset(next)));
        Standing { partition, position, waits, oldest_ms, newest_ms: Some(newest_ms) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_grows_older_and_what_stands_still_is_told() {
        let mut lateness = Lateness::default();
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let mut look = |standing: Standing, unread, after: u64| {
            let now_ms = 100_000 + i64::try_from(after).unwrap() * 1_000;
            let Late { oldest, stands_still } =
                lateness.of(&standing, unread, now_ms, start + seconds(after));
            (oldest.as_secs(), stands_still.as_secs())
        };
        assert_eq!(look(standing(5, false, None, 40_000), false, 0), (0, 0), "nothing waits");
        assert_eq!(look(standing(5, true, Some(97_000), 99_000), false, 10), (13, 10));
        assert_eq!(look(standing(6, true, Some(98_000), 99_000), false, 20), (22, 0), "it moved");
        assert_eq!(look(standing(6, true, Some(98_000), 99_000), false, 50), (52, 30));
        assert_eq!(look(standing(9, false, None, 99_000), false, 60), (0, 0), "caught up");
        assert_eq!(look(standing(9, false, None, 99_000), true, 70), (71, 10), "there is more");
    }
}
