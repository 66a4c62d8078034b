//! Takes records: what they become goes on its way, and what has to wait for the checks is
//! parked by its partition until they are certain.

use tokio::time::Instant;

use super::Path;
use super::checks::{Checks, KnowledgeLinks};
use super::partition::PartitionPath;
use super::scratch::{Mapped, Refused};
use crate::model::outcome::{DeadLetter, DeadLetterOrigin};
use crate::model::progress::Slot;
use crate::model::record::Record;
use crate::pipeline::check::Patience;
use crate::telemetry::metrics::Metrics;

impl Path {
    /// Checks what routes make against what is known. `projects` tells of each target which project
    /// it belongs to.
    #[must_use]
    pub fn with_checks(
        mut self,
        links: KnowledgeLinks,
        projects: Vec<usize>,
        metrics: &Metrics,
    ) -> Self {
        let (routes, interval) = (&self.settings.routes, self.settings.checks.interval);
        self.checks = Checks::new(routes, projects, links, interval, metrics);
        self.checks.refresh();
        self
    }

    /// Takes a record: what it becomes goes on its way, unless it has to wait.
    pub(super) fn take(&mut self, record: &Record<'_>, now: Instant, patience: Patience) {
        let Some(partition) = self.books.of_record(record) else { return };
        if partition.ledger.has_taken(record.offset) || partition.precedes_start(record.offset) {
            let id = partition.id().clone();
            self.begin_anew(&id, record.offset);
            return self.take(record, now, patience);
        }
        self.checks.begin(now, patience);
        let unmatched = self.settings.unmatched;
        let mapped =
            partition.map(record, &mut self.scratch, &self.counters, &mut self.checks, unmatched);
        match mapped {
            Ok(Mapped::Operations) => {
                let is_probe = self.guarding.mapped(&self.scratch.made, partition, now);
                let probe = is_probe.then(|| partition.id().clone());
                let others = self.scratch.operations.len();
                partition.seal(record, others, now, &mut self.cut);
                self.hurried |= partition.has_waiting();
                self.counters.recovered(std::mem::take(&mut partition.recovered));
                // What is overdue waits for an answer.
                let deadlines = partition.cut_deadlines().filter(|due| *due > now);
                self.filling.due = self.filling.due.into_iter().chain(deadlines).min();
                if others > 0 {
                    let place = partition.slot(record);
                    self.offer_operations(&place, now);
                }
                if let Some(id) = probe {
                    // There is no point in waiting for others to go with it.
                    self.flush(std::slice::from_ref(&id));
                }
                if !self.cut.is_empty() {
                    self.send_cut();
                }
            }
            Ok(Mapped::Waits) => partition.parked.push(record.to_owned(), now),
            Ok(Mapped::Filtered) => {
                partition.ledger.take(record.offset, 0, record.timestamp_ms);
                partition.count(&self.counters);
                self.progressed = true;
            }
            Err(refused) => {
                let routes = refused.routes.pick(partition.routes()).map(|id| id.0);
                self.guarding.refused(routes, now);
                let letter = dead_letter(partition, record, refused);
                if self.outlets.dead_letters.send(letter).is_err() {
                    tracing::error!("the dead-letter stage is gone");
                }
            }
        }
    }

    /// Takes what was parked once more is known, or when waiting is no longer worth it.
    pub(super) fn take_parked(&mut self, now: Instant) {
        let learnt = self.checks.refresh();
        let waits = |partition: &&mut PartitionPath| {
            let overdue = partition.parked.deadline().is_some_and(|deadline| deadline <= now);
            !partition.parked.is_empty() && !partition.is_shut() && (learnt || overdue)
        };
        let mut released = Vec::new();
        for partition in self.books.all_mut().filter(waits) {
            let overdue = partition.parked.deadline().is_some_and(|deadline| deadline <= now);
            let patience = if overdue { Patience::None } else { Patience::Some };
            released.push((partition.id().clone(), patience, partition.parked.take()));
        }
        for (id, patience, (since, records)) in released {
            for record in records {
                let is_first =
                    self.books.of_id(&id).is_none_or(|partition| partition.parked.is_empty());
                let record_is_next = is_first && !self.holds_back(&id, now);
                if record_is_next {
                    self.take(&record.lend(), now, patience);
                } else if let Some(partition) = self.books.of_id(&id) {
                    partition.parked.push(record, now);
                }
            }
            if let Some(partition) = self.books.of_id(&id) {
                partition.parked.has_waited(since);
            }
        }
    }

    /// When the first of what is parked is no longer to wait.
    pub(super) fn parked_deadline(&self) -> Option<Instant> {
        let waiting = self.books.all().filter(|partition| !partition.is_shut());
        waiting.filter_map(|partition| partition.parked.deadline()).min()
    }
}

fn dead_letter(partition: &mut PartitionPath, record: &Record<'_>, refused: Refused) -> DeadLetter {
    let Refused { refusal, routes } = refused;
    let place = partition.slot(record);
    let record = record.to_owned();
    let slot = Slot { bytes: record.size(), routes, ..place };
    partition.ledger.take(record.offset, 1, slot.time_ms);
    partition.add_in_flight(slot.bytes);
    DeadLetter { origin: DeadLetterOrigin::Copied(record), refusal, slot }
}
