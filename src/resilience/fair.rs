//! Whose turn it is, among lanes that have to wait for each other.
//!
//! A lane with twice the weight gets twice as many turns while both have something to send. A lane
//! that had nothing to send for a while has saved nothing up.
//!
//! # Invariants
//! - E1: between two turns of a lane that waits, another one gets at most its weight's share of turns,
//!   and one more.
//! - E2: within a lane, who came first is first.
//!
//! Not here: whether anybody may send (`budget`).

/// A lane that has turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneNumber(usize);

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Those that wait, and what the lanes have had.
#[derive(Debug)]
pub struct FairQueue<T> {
    lanes: Vec<Lane>,
    /// In order of arrival.
    waiting: Vec<Waiting<T>>,
    next_ticket: u64,
    /// Where the lane stood that last had a turn.
    clock: f64,
}

#[derive(Debug)]
struct Lane {
    /// What one turn costs.
    step: f64,
    /// Where its next turn stands.
    next: f64,
}

#[derive(Debug)]
struct Waiting<T> {
    ticket: Ticket,
    lane: LaneNumber,
    what: T,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: Vec::new(), waiting: Vec::new(), next_ticket: 0, clock: 0.0 }
    }
}

impl<T> FairQueue<T> {
    /// Adds a lane. A weight of 0 counts as 1.
    pub fn add(&mut self, weight: u32) -> LaneNumber {
        self.lanes.push(Lane { step: 1.0 / f64::from(weight.max(1)), next: self.clock });
        LaneNumber(self.lanes.len() - 1)
    }

    /// Waits for a turn.
    pub fn join(&mut self, lane: LaneNumber, what: T) -> Ticket {
        let idle = self.waiting.iter().all(|other| other.lane != lane);
        let clock = self.clock;
        if let Some(lane) = self.lanes.get_mut(lane.0).filter(|_| idle) {
            lane.next = lane.next.max(clock);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.push(Waiting { ticket, lane, what });
        ticket
    }

    /// Gives a place up, without a turn.
    pub fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
    }

    /// Takes the turn.
    pub fn serve(&mut self, ticket: Ticket) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.ticket == ticket) else {
            return;
        };
        let Waiting { lane, .. } = self.waiting.remove(at);
        if let Some(lane) = self.lanes.get_mut(lane.0) {
            self.clock = self.clock.max(lane.next);
            lane.next += lane.step;
        }
    }

    /// Those that wait, in the order of their turns.
    pub fn in_order(&self) -> Vec<(Ticket, &T)> {
        let mut nexts: Vec<f64> = self.lanes.iter().map(|lane| lane.next).collect();
        let mut order: Vec<(f64, Ticket, &T)> = Vec::with_capacity(self.waiting.len());
        for Waiting { ticket, lane, what } in &self.waiting {
            let (Some(next), Some(lane)) = (nexts.get_mut(lane.0), self.lanes.get(lane.0)) else {
                continue;
            };
            order.push((*next, *ticket, what));
            *next += lane.step;
        }
        order.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        order.into_iter().map(|(_, ticket, what)| (ticket, what)).collect()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Serves so many turns and gives which lanes had them.
    fn turns(queue: &mut FairQueue<usize>, count: usize) -> Vec<usize> {
        let turn = |_| {
            let (ticket, lane) = queue.in_order()[0];
            let lane = *lane;
            queue.serve(ticket);
            lane
        };
        (0..count).map(turn).collect()
    }

    #[test]
    fn a_flood_starves_nobody_e1() {
        let mut queue = FairQueue::default();
        let (flood, trickle) = (queue.add(1), queue.add(1));
        for _ in 0..100 {
            queue.join(flood, 0);
        }
        assert_eq!(turns(&mut queue, 10), [0; 10]);
        queue.join(trickle, 1);
        queue.join(trickle, 1);
        let next = turns(&mut queue, 5);
        assert_eq!(next.iter().filter(|lane| **lane == 1).count(), 2, "{next:?}");
        assert_eq!(turns(&mut queue, 20), [0; 20], "and nobody has saved anything up");
    }

    #[test]
    fn who_gave_up_costs_nothing() {
        let mut queue = FairQueue::default();
        let lane = queue.add(1);
        let first = queue.join(lane, 1);
        let second = queue.join(lane, 2);
        queue.leave(first);
        assert_eq!(queue.in_order(), [(second, &2)], "E2");
        queue.serve(first);
        assert_eq!(queue.len(), 1);
    }

    proptest! {
        #[test]
        fn turns_are_as_the_weights_are(weights in proptest::collection::vec(1..10_u32, 2..5)) {
            let mut queue = FairQueue::default();
            let lanes: Vec<_> = weights.iter().map(|weight| queue.add(*weight)).collect();
            let rounds = 20;
            for (n, lane) in lanes.iter().enumerate() {
                for _ in 0..rounds * weights[n] {
                    queue.join(*lane, n);
                }
            }
            let all: u32 = weights.iter().sum();
            let turns = turns(&mut queue, usize::try_from(all * 10).unwrap());
            for (n, weight) in weights.iter().enumerate() {
                let its = turns.iter().filter(|lane| **lane == n).count();
                let fair = usize::try_from(weight * 10).unwrap();
                prop_assert!(its.abs_diff(fair) <= weights.len(), "{its} of {fair}: {weights:?}");
            }
        }
    }
}
