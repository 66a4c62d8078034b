//! The assigned partitions, found by a record's place or by a settlement's.

use std::collections::HashMap;
use std::sync::Arc;

use super::partition::PartitionPath;
use crate::model::progress::Epoch;
use crate::model::record::{Partition, Record};
use crate::pipeline::route::TopicRoutes;
use crate::pipeline::settings::PipelineSettings;
use crate::telemetry::metrics::Counter;

/// All partitions of the current assignment.
#[derive(Debug, Default)]
pub(super) struct Books {
    partitions: Vec<PartitionPath>,
    index: HashMap<Partition, usize>,
    /// Where the last record was: records come in runs from one partition.
    current: usize,
    /// Counts assignments, so that no two of one partition share an epoch.
    epoch: Epoch,
}

impl Books {
    pub(super) fn of_generation(generation: u64) -> Self {
        Self { epoch: Epoch::before(generation), ..Self::default() }
    }

    pub(super) fn open(
        &mut self,
        id: Partition,
        routes: Arc<TopicRoutes>,
        settings: &PipelineSettings,
        read: Counter,
    ) -> Option<&mut PartitionPath> {
        self.close(&id);
        self.epoch = Epoch(self.epoch.0 + 1);
        self.index.insert(id.clone(), self.partitions.len());
        self.partitions.push(PartitionPath::new(id, self.epoch, routes, settings, read));
        self.partitions.last_mut()
    }

    pub(super) fn close(&mut self, id: &Partition) {
        let Some(at) = self.index.remove(id) else { return };
        self.partitions.swap_remove(at).give_up();
        if let Some(moved) = self.partitions.get(at) {
            self.index.insert(moved.id().clone(), at);
        }
    }

    /// Begins a partition anew under another epoch, as if it had been revoked and assigned.
    pub(super) fn reopen(&mut self, id: &Partition, settings: &PipelineSettings) {
        let Some(partition) = self.index.get(id).and_then(|at| self.partitions.get(*at)) else {
            return;
        };
        let (routes, read, paused) = partition.remains();
        let partition = self.open(id.clone(), routes, settings, read);
        // Kafka's client knows nothing of this, so what it paused has to be resumed still.
        if let (Some(since), Some(partition)) = (paused, partition) {
            partition.pause(since);
        }
    }

    /// Finds the partition of a record.
    pub(super) fn of_record(&mut self, record: &Record<'_>) -> Option<&mut PartitionPath> {
        let is_it = |partition: &PartitionPath| {
            let Partition { topic, number } = partition.id();
            *number == record.partition && **topic == *record.topic
        };
        if !self.partitions.get(self.current).is_some_and(is_it) {
            self.current = self.partitions.iter().position(is_it)?;
        }
        self.partitions.get_mut(self.current)
    }

    /// Finds a partition, however it was assigned.
    pub(super) fn of_id(&mut self, id: &Partition) -> Option<&mut PartitionPath> {
        self.partitions.get_mut(*self.index.get(id)?)
    }

    pub(super) fn of_id_ref(&self, id: &Partition) -> Option<&PartitionPath> {
        self.partitions.get(*self.index.get(id)?)
    }

    /// Finds a partition as it was assigned in `epoch`.
    pub(super) fn find(&mut self, id: &Partition, epoch: Epoch) -> Option<&mut PartitionPath> {
        let partition = self.partitions.get_mut(*self.index.get(id)?)?;
        (partition.epoch() == epoch).then_some(partition)
    }

    pub(super) fn some<'b>(
        &'b self,
        ids: &'b [Partition],
    ) -> impl Iterator<Item = &'b PartitionPath> {
        ids.iter().filter_map(|id| self.partitions.get(*self.index.get(id)?))
    }

    pub(super) fn some_mut<'b>(
        &'b mut self,
        ids: &'b [Partition],
    ) -> impl Iterator<Item = &'b mut PartitionPath> {
        self.partitions.iter_mut().filter(|partition| ids.contains(partition.id()))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &PartitionPath> {
        self.partitions.iter()
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut PartitionPath> {
        self.partitions.iter_mut()
    }

    pub(super) fn bytes(&self) -> usize {
        self.partitions.iter().map(PartitionPath::bytes).sum()
    }

    /// What counts against the limit of all partitions: those that are held back take nothing in, and
    /// what they have must not stop the others.
    pub(super) fn moving_bytes(&self) -> usize {
        self.partitions.iter().filter(|it| !it.is_shut()).map(PartitionPath::bytes).sum()
    }

    pub(super) fn waiting(&self) -> usize {
        self.partitions.iter().map(|partition| partition.ledger.waiting()).sum()
    }
}
