//! When a batch is cut that does not fill up: after `batch.linger`, unless that would be in vain.
//!
//! While LaunchDarkly takes fewer requests than there are batches, a batch that is cut just waits
//! somewhere else, and as it is. So as long as as many batches of its target are under way as there may
//! be requests, it goes on filling: the fewer the requests, the larger.
//!
//! Batches of many partitions are written to the journal together, and so the sooner the more of them
//! are cut at once: with the first that is due go those that have waited half as long.
//!
//! # Invariants
//! - F1: nothing waits longer for that: whatever is under way was cut before, and every answer is a
//!   reason to look again, as is some time without one.

use std::time::Duration;

use tokio::time::Instant;

use super::Path;
use super::partition::PartitionPath;
use crate::model::batch::TargetId;

/// Room may be made without an answer: what was under way is another instance's now, or waits for a
/// person.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// When open batches are to be looked at.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// When the first one is to be cut.
    pub(super) due: Option<Instant>,
    /// Whether some are left open that would have been cut by now.
    overdue: bool,
    /// A batch has ended since that was looked at.
    pub(super) has_room: bool,
}

impl Path {
    /// Cuts the batches that have waited long enough.
    pub(super) fn cut_due_batches(&mut self, now: Instant) {
        self.keyed.cut_due(now, &mut self.keyed_cut);
        if self.filling.due.is_none_or(|due| due > now) {
            return;
        }
        let soon = now + self.settings.batch.linger / 2;
        let busy = self.busy_targets();
        let is_busy = |target: TargetId| busy.get(target.0).copied().unwrap_or_default();
        for partition in self.books.all_mut() {
            partition.cut_due(now, soon, is_busy, &mut self.cut);
            self.hurried |= partition.has_waiting();
        }
        let (mut overdue, mut next) = (false, None::<Instant>);
        for due in self.books.all().flat_map(PartitionPath::cut_deadlines) {
            if due <= now {
                overdue = true;
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        if overdue {
            let again = now + LOOK_AGAIN;
            next = Some(next.map_or(again, |next| next.min(again)));
        }
        (self.filling.overdue, self.filling.due) = (overdue, next);
    }

    /// A batch has ended, which makes room for another one.
    pub(super) fn note_room(&mut self, now: Instant) {
        if std::mem::take(&mut self.filling.has_room) && self.filling.overdue {
            self.filling.due = Some(now);
        }
    }

    /// By target: whether as many batches are under way as there may be requests.
    fn busy_targets(&self) -> Vec<bool> {
        let mut under_way = vec![0; self.settings.targets.len()];
        // What waits for a person takes nobody's place.
        for partition in self.books.all().filter(|partition| !partition.is_withheld()) {
            for (target, batches) in partition.journal.under_way() {
                if let Some(sum) = under_way.get_mut(target.0) {
                    *sum += batches;
                }
            }
        }
        let most = self.settings.delivery.concurrency;
        under_way.into_iter().map(|batches| batches >= most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Rig, rig, zero};
    use super::*;
    use crate::model::batch::EventBatch;
    use crate::model::record::Partition;
    use crate::pipeline::source::Intake;

    const CONFIG: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: api-1, project: p, environment: production }
  staging: { access_token: api-2, project: p, environment: staging }
routes:
  - name: all
    topics: [t]
    format: json
    metric_event: { target: production, key: k, context: { user: $.row.user } }
batch: { max_events: 100, linger: 1s }
delivery: { concurrency: 2 }
"#;

    fn three() -> [Partition; 3] {
        [0, 1, 2].map(|number| Partition::new("t", number))
    }

    impl Rig {
        /// A turn in which Kafka confirms what there is to write. Gives what is sent then, and when the
        /// next turn is wanted.
        fn turn_at(&mut self, now: Instant) -> (Vec<EventBatch>, Option<Instant>) {
            let next = self.path.turn(now).next;
            let entries = self.path.progress(&three());
            self.path.committed(entries, true, now);
            (std::iter::from_fn(|| self.batches.try_recv().ok()).collect(), next)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn batches_fill_while_as_many_are_under_way_as_may_be_f1() {
        let mut rig = rig(CONFIG);
        rig.assign(&zero());
        let mut now = Instant::now();
        let mut sent = Vec::new();
        for offset in 0..5 {
            rig.take_in(0, offset, r#"{"user":"u"}"#, now);
            now += Duration::from_secs(1);
            let (new, next) = rig.turn_at(now);
            sent.extend(new);
            assert!(next.is_none_or(|next| next > now), "it would turn for nothing");
        }
        assert_eq!(sent.iter().map(EventBatch::records).collect::<Vec<_>>(), [1, 1]);
        rig.accept(sent.remove(0));
        let (new, _) = rig.turn_at(now);
        assert_eq!(new.iter().map(EventBatch::records).collect::<Vec<_>>(), [3], "all that came");
        // Without an answer, too, once what was under way waits for a person.
        rig.take_in(0, 200, r#"{"user":"u"}"#, now);
        now += Duration::from_secs(1);
        let (new, next) = rig.turn_at(now);
        assert!(new.is_empty());
        let withheld = sent[0].fence.withhold(1);
        assert_eq!(rig.turn_at(next.unwrap()).0.len(), 1);
        drop(withheld);
        // A batch that is full goes all the same.
        for offset in 205..305 {
            rig.take_in(0, offset, r#"{"user":"u"}"#, now);
        }
        assert_eq!(rig.turn_at(now).0[0].records(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_that_have_waited_half_as_long_go_with_the_first_that_is_due() {
        let mut rig = rig(CONFIG);
        rig.assign(&three());
        let start = Instant::now();
        rig.take_in(0, 0, r#"{"user":"u"}"#, start);
        rig.take_in(1, 0, r#"{"user":"u"}"#, start + Duration::from_millis(400));
        rig.take_in(2, 0, r#"{"user":"u"}"#, start + Duration::from_millis(600));
        assert!(rig.turn_at(start + Duration::from_millis(999)).0.is_empty());
        let (sent, _) = rig.turn_at(start + Duration::from_secs(1));
        assert_eq!(sent.iter().map(|it| it.partition.number).collect::<Vec<_>>(), [0, 1]);
        for batch in sent {
            rig.accept(batch);
        }
        assert!(rig.turn_at(start + Duration::from_millis(1_599)).0.is_empty());
        assert_eq!(rig.turn_at(start + Duration::from_millis(1_600)).0[0].partition.number, 2);
    }
}
