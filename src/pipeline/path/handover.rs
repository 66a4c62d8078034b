//! What a path tells of its partitions, and how it gives one to the path that succeeds it.
//!
//! # Invariants
//! - N1: what is handed over is what Kafka has: whoever succeeds here begins as if in another process.
//!
//! Not here: when partitions are handed over (`succession`).

use std::collections::HashSet;

use super::Path;
use super::books::Books;
use super::partition::PartitionPath;
use crate::model::progress::{Committed, NextOffset};
use crate::model::record::Partition;
use crate::pipeline::source::Intake;
use crate::telemetry::board::{Board, PartitionState, PartitionView};

/// A partition on its way from one path to the next.
#[derive(Debug)]
pub struct Handed {
    pub committed: Committed,
    /// Whence Kafka is to be read again; `None` when everything read is settled.
    pub again: Option<NextOffset>,
    /// Whether the path has had it paused.
    pub is_paused: bool,
}

/// What a path holds between Kafka and LaunchDarkly.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    pub bytes: usize,
    pub records: usize,
}

impl Path {
    /// Counts assignments apart from those of other generations, and heeds what is asked for on the
    /// board.
    #[must_use]
    pub fn in_generation(mut self, generation: u64, board: Board) -> Self {
        self.books = Books::of_generation(generation);
        self.board = board;
        self
    }

    /// The routes that a person has paused.
    pub(super) fn paused_routes(&self) -> HashSet<usize> {
        let asked = self.board.paused();
        if asked.is_empty() {
            return HashSet::new();
        }
        let is_asked = |name: &String| asked.contains(name);
        let routes = self.settings.routes.iter().enumerate();
        routes.filter(|(_, route)| is_asked(&route.name)).map(|(at, _)| at).collect()
    }

    pub fn partitions(&self) -> Vec<Partition> {
        self.books.all().map(|partition| partition.id().clone()).collect()
    }

    /// Whether batches of an earlier owner are being cut again, which only reading on ends.
    pub fn is_recovering(&self, id: &Partition) -> bool {
        self.books.of_id_ref(id).is_some_and(PartitionPath::is_recovering)
    }

    /// Cuts what is open of these partitions, leaves to the successor what waits for a person, and has
    /// progress written soon.
    pub fn wind_up(&mut self, ids: &[Partition]) {
        self.close(ids);
        self.hurried |= ids.iter().any(|id| self.is_settled(id) && !self.is_written(id));
    }

    /// Whether everything that was taken is settled, and Kafka knows.
    pub fn is_wound_up(&mut self, id: &Partition) -> bool {
        self.is_settled(id) && self.is_written(id)
    }

    fn is_settled(&self, id: &Partition) -> bool {
        self.books.of_id_ref(id).is_none_or(|partition| {
            // Behind halted lanes one looks only when that could make the difference.
            partition.is_drained(0) || partition.is_drained(self.keyed.halted(id))
        })
    }

    fn is_written(&mut self, id: &Partition) -> bool {
        self.progress(std::slice::from_ref(id)).is_empty()
    }

    /// Whether another path makes the same requests of a topic's records, under the same IDs.
    pub fn maps_alike(&self, other: &Self, topic: &str) -> bool {
        let mapping = |path: &Self| {
            let routes = path.router.topic(topic)?;
            let name = |at: usize| path.settings.targets.get(at).cloned();
            Some(routes.targets().map(|(target, of)| (name(target.0), of)).collect::<Vec<_>>())
        };
        mapping(self) == mapping(other)
    }

    /// Gives a partition up.
    pub fn hand_over(&mut self, id: &Partition) -> Option<Handed> {
        let partition = self.books.of_id_ref(id)?;
        let (is_paused, (committed, again)) = (partition.is_paused(), partition.handed());
        self.revoked(std::slice::from_ref(id));
        Some(Handed { committed, again, is_paused })
    }

    pub fn load(&self) -> Load {
        Load { bytes: self.books.bytes(), records: self.books.waiting() }
    }

    pub fn show_load(&self, load: Load) {
        self.counters.in_flight(load.bytes, load.records);
    }

    /// What there is to say about each partition.
    pub fn views(&self) -> Vec<PartitionView> {
        let asked = self.paused_routes();
        self.books.all().map(|partition| view(partition, &asked)).collect()
    }
}

fn view(partition: &PartitionPath, asked: &HashSet<usize>) -> PartitionView {
    let by_person = partition.routes().iter().any(|id| asked.contains(&id.0));
    let state = if partition.is_recovering() {
        PartitionState::Recovering
    } else if partition.is_shut() {
        PartitionState::RouteHalted
    } else if by_person {
        PartitionState::PausedByPerson
    } else if !partition.parked.is_empty() {
        PartitionState::WaitsForChecks
    } else if partition.is_paused() {
        PartitionState::Full
    } else {
        PartitionState::Flows
    };
    let records = partition.ledger.waiting();
    let next = partition.ledger.position().map(|next| next.0);
    PartitionView {
        topic: partition.id().topic.to_string(),
        partition: partition.id().number,
        generation: partition.epoch().generation(),
        state,
        records,
        bytes: partition.bytes(),
        oldest_offset: next.filter(|_| records > 0),
        waits_seconds: 0,
    }
}
