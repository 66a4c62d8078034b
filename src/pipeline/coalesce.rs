//! Collects changes to one thing, a segment or a metric, and keeps only the newest intent per part.
//!
//! Order matters here, unlike for metric events: a member that is added and then removed must end
//! outside. So at most one batch of a lane is under way, and what comes meanwhile waits here, the
//! newer intent joining the older ones and taking over their obligations.
//!
//! # Invariants
//! - N1: at most one batch is under way, so a repeat of it can never undo a newer change (P4).
//! - N2: of several intents for one part, what they come to in turn is sent; intermediate states may be
//!   skipped, the last one never.
//! - N3: every slot offered is in exactly one batch, the one that carries its own intent or a newer
//!   one for the same part.
//!
//! Not here: what an intent means to LaunchDarkly (`deliver`).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use tokio::time::Instant;

use super::settings::CoalesceSettings;
use crate::model::intent::{Intent, Left, Succession};
use crate::model::progress::Slot;

/// One lane's waiting intents. `P` names a part of the thing, a segment's member for instance.
#[derive(Debug)]
pub struct Coalescer<P, V> {
    settings: CoalesceSettings,
    waiting: HashMap<P, Intent<P, V>>,
    /// Parts in the order in which they began to wait; may name parts that have left.
    order: VecDeque<P>,
    since: Option<Instant>,
    under_way: bool,
    /// What is under way waits for a person.
    halted: bool,
}

impl<P: Clone + Eq + Hash, V: Succession> Coalescer<P, V> {
    pub fn new(settings: CoalesceSettings) -> Self {
        Self {
            settings,
            waiting: HashMap::new(),
            order: VecDeque::new(),
            since: None,
            under_way: false,
            halted: false,
        }
    }

    /// Takes a wish. Gives whether it replaced an older one.
    pub fn offer(&mut self, part: P, wish: V, slot: Slot, now: Instant) -> bool {
        self.since.get_or_insert(now);
        if let Some(waiting) = self.waiting.get_mut(&part) {
            return waiting.follow(wish, slot);
        }
        self.order.push_back(part.clone());
        self.waiting.insert(part.clone(), Intent::new(part, wish, slot));
        false
    }

    /// Since when something waits.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// When the next batch may be cut; `None` while there is nothing or one is under way.
    pub fn deadline(&self) -> Option<Instant> {
        if self.under_way {
            return None;
        }
        let since = self.since?;
        let full = self.waiting.len() >= self.settings.max_parts;
        Some(if full { since } else { since + self.settings.linger })
    }

    /// Cuts a batch if one is due. The caller must report its end with [`Self::finish`].
    pub fn cut_due(&mut self, now: Instant) -> Vec<Intent<P, V>> {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.cut()
        } else {
            Vec::new()
        }
    }

    /// Cuts a batch now, unless one is under way or nothing waits.
    pub fn cut(&mut self) -> Vec<Intent<P, V>> {
        if self.under_way {
            return Vec::new();
        }
        let mut batch = Vec::new();
        while batch.len() < self.settings.max_parts {
            let Some(part) = self.order.pop_front() else { break };
            batch.extend(self.waiting.remove(&part));
        }
        self.under_way = !batch.is_empty();
        if self.waiting.is_empty() {
            self.since = None;
        }
        batch
    }

    /// Forgets intents whose own slot is no longer ours: whoever owns its partition now sends it,
    /// and a late copy from us could undo something newer. Gives the older slots they had taken
    /// over that still are ours: their intents are superseded for good.
    pub fn forget(&mut self, is_ours: impl Fn(&Slot) -> bool) -> Vec<Slot> {
        let mut superseded = Vec::new();
        for (part, waiting) in std::mem::take(&mut self.waiting) {
            match waiting.keep(&is_ours) {
                Left::Intent(left) => drop(self.waiting.insert(part, left)),
                Left::Nothing(done) => superseded.extend(done),
            }
        }
        if self.waiting.is_empty() {
            self.since = None;
        }
        superseded
    }

    /// The batch under way has ended, whatever became of it.
    pub fn finish(&mut self) {
        (self.under_way, self.halted) = (false, false);
    }

    /// The batch under way waits for a person.
    pub fn halt(&mut self) {
        self.halted = self.under_way;
    }

    /// The slots of what waits behind a batch that waits for a person.
    pub fn halted(&self) -> impl Iterator<Item = &Slot> {
        let waiting = self.halted.then(|| self.waiting.values());
        waiting.into_iter().flatten().flat_map(Intent::slots)
    }

    /// Whether nothing waits and nothing is under way: the lane can be forgotten.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.under_way
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::model::fence::Fence;
    use crate::model::progress::Epoch;
    use crate::model::record::Partition;
    use crate::model::routes::RouteSet;

    fn slot(offset: i64) -> Slot {
        let (partition, fence) = (Partition::new("t", 0), Fence::default());
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

    /// A wish that replaces every older one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Newest(bool);

    impl Succession for Newest {
        fn replaces(&self, _older: &Self) -> bool {
            true
        }

        fn after(self, _older: &Self) -> Self {
            self
        }
    }

    fn coalescer(max_parts: usize) -> Coalescer<u8, Newest> {
        Coalescer::new(CoalesceSettings { max_parts, linger: Duration::from_secs(1) })
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_for_its_linger_or_until_it_is_full_and_for_the_one_before() {
        let mut lane = coalescer(2);
        let start = Instant::now();
        assert!(!lane.offer(1, Newest(true), slot(1), start));
        assert!(lane.cut_due(start).is_empty());
        assert_eq!(lane.deadline(), Some(start + Duration::from_secs(1)));
        assert!(
            lane.offer(1, Newest(false), slot(2), start),
            "the newer intent replaces the older"
        );
        assert!(!lane.offer(2, Newest(true), slot(3), start));
        let batch = lane.cut_due(start);
        assert_eq!(batch.len(), 2, "full");
        assert_eq!((batch[0].part, batch[0].wanted()), (1, Newest(false)));
        assert_eq!(batch[0].clone().into_slots().all(), [slot(1), slot(2)]);
        lane.offer(1, Newest(true), slot(4), start);
        assert_eq!(lane.deadline(), None, "N1");
        assert!(lane.cut().is_empty(), "N1");
        lane.finish();
        assert_eq!(lane.cut_due(start + Duration::from_secs(1)).len(), 1);
        lane.finish();
        assert!(lane.is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_longer_ours_is_not_sent() {
        let mut lane = coalescer(9);
        let now = Instant::now();
        let elsewhere = Slot { partition: Partition::new("t", 1), ..slot(7) };
        lane.offer(1, Newest(true), slot(1), now);
        lane.offer(1, Newest(false), elsewhere.clone(), now);
        lane.offer(2, Newest(true), elsewhere, now);
        lane.offer(2, Newest(true), slot(2), now);
        lane.offer(3, Newest(true), slot(3), now);
        let superseded = lane.forget(|slot| slot.partition.number == 0);
        assert_eq!(superseded, [slot(1)], "its newer intent is somebody else's now");
        let parts: Vec<u8> = lane.cut().into_iter().map(|intent| intent.part).collect();
        assert_eq!(parts, [2, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// N2 and N3 against sequential application, for any interleaving of offers, cuts and ends.
        #[test]
        fn the_last_intent_of_every_part_wins_and_every_slot_is_covered_once(
            steps in prop::collection::vec((0..5_u8, any::<bool>(), 0..4_u8), 1..200),
            max_parts in 1..4_usize,
        ) {
            let now = Instant::now();
            let mut lane = coalescer(max_parts);
            let mut sequential: BTreeMap<u8, bool> = BTreeMap::new();
            let mut applied: BTreeMap<u8, bool> = BTreeMap::new();
            let mut covered: BTreeMap<i64, u32> = BTreeMap::new();
            let mut offered = 0;
            let mut apply = |batch: Vec<Intent<u8, Newest>>| {
                for intent in batch {
                    applied.insert(intent.part, intent.wanted().0);
                    for slot in intent.into_slots().all() {
                        *covered.entry(slot.offset).or_default() += 1;
                    }
                }
            };
            for (part, intent, step) in steps {
                match step {
                    0 => {
                        let batch = lane.cut();
                        prop_assert!(batch.len() <= max_parts);
                        apply(batch);
                    }
                    1 => lane.finish(),
                    _ => {
                        offered += 1;
                        sequential.insert(part, intent);
                        lane.offer(part, Newest(intent), slot(offered), now);
                    }
                }
            }
            while !lane.is_idle() {
                lane.finish();
                apply(lane.cut());
            }
            prop_assert_eq!(applied, sequential);
            prop_assert_eq!(i64::try_from(covered.len()).unwrap(), offered);
            prop_assert!(covered.values().all(|times| *times == 1));
        }
    }
}
