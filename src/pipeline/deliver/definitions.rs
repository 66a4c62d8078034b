//! The metric-definition lanes of a target: read, then create or patch what differs.
//!
//! There is no upsert. A definition that is already as it is wanted costs one read, and for a while
//! after that nothing, so that replaying a topic of definitions is cheap and harmless.
//!
//! # Invariants
//! - V5: a metric's kind is never changed and a metric is never deleted.
//! - V6: only the fields that a route maps are compared and written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::courier::{Abandoned, Answered, Burden, Courier, Errand};
use super::refused::Refused;
use super::seat::Seat;
use super::spans::Cause;
use crate::launchdarkly::answer::{Answered as Answer, ApiError, Creation, ErrorClass, Written};
use crate::launchdarkly::definition::{Difference, difference};
use crate::launchdarkly::endpoint::Endpoint;
use crate::launchdarkly::metrics::MetricsClient;
use crate::model::fence::Fence;
use crate::model::intent::Slots;
use crate::model::operation::{LaneKey, MetricBatch, MetricIntent};
use crate::model::outcome::RefusalReason;
use crate::model::progress::{Epoch, Settlement, Slot};
use crate::model::record::Partition;
use crate::resilience::retry::RetryPauses;

/// The name of these lanes' operation.
pub const OPERATION: &str = "metric";

/// How long a definition that was read or written is taken for the present one. Longer hides what
/// people change in LaunchDarkly, shorter spares fewer reads.
const REMEMBERED: Duration = Duration::from_secs(300);
/// The most definitions remembered; a project has some hundreds.
const MOST_REMEMBERED: usize = 10_000;

/// Delivers the metric definitions of one target.
#[derive(Debug)]
pub struct DefinitionLanes {
    client: MetricsClient,
    courier: Courier,
    known: Mutex<HashMap<Arc<str>, Known>>,
}

/// A definition as it was at a time.
#[derive(Debug)]
struct Known {
    at: Instant,
    /// On behalf of which assignment it was seen: under another one, somebody else of our group may
    /// have changed it meanwhile.
    seen_for: Option<(Partition, Epoch)>,
    definition: Map<String, Value>,
}

/// A definition to be applied.
#[derive(Clone, Copy)]
struct Work<'w> {
    metric: &'w Arc<str>,
    intent: &'w MetricIntent,
    desired: &'w Map<String, Value>,
    /// The newest record's assignment.
    assignment: Option<(&'w Partition, Epoch)>,
    errand: Errand<'w>,
}

/// How one pass over a definition ended.
enum Pass {
    /// It is as wanted; the definition to remember, if one was seen.
    Settled(Option<Map<String, Value>>),
    /// Somebody else was at it: read again.
    Again,
    Refused(RefusalReason, Refused),
}

fn burden<'w>(metric: &'w Arc<str>, slots: &'w [Slot]) -> Burden<'w> {
    let oldest = slots.first().map(|slot| (&slot.partition, slot.offset));
    Burden { lane: Some(metric), oldest, records: slots.len() }
}

impl DefinitionLanes {
    pub fn new(client: MetricsClient, courier: Courier) -> Self {
        let courier = courier.sending_to(client.server());
        Self { client, courier, known: Mutex::default() }
    }

    /// Applies a definition and reports its end.
    pub(super) async fn deliver(
        &self,
        batch: MetricBatch,
        seat: &mut Seat,
    ) -> Result<(), Abandoned> {
        let lane = LaneKey::Metric { target: batch.target, key: Arc::clone(&batch.metric) };
        let (desired, invalid) = self.take_up(&batch);
        let Slots { mut standing, replaced: mut accepted } = batch.slots;
        let mut patience = self.courier.patience();
        let (applied, _probe) = loop {
            let fences: Vec<Fence> = standing.iter().map(|slot| slot.fence.clone()).collect();
            let cause = Cause::of_slots(standing.iter(), self.courier.spans.links());
            let all = standing.iter().chain(&accepted);
            let admitted = self.courier.admit(&standing, all, (&lane, &fences), seat).await;
            if let Ok(Some(_)) = admitted {
                patience = self.courier.patience();
            }
            let burden = burden(&batch.metric, &standing);
            let work = Work {
                metric: &batch.metric,
                intent: &batch.intent,
                desired: &desired,
                assignment: standing.last().map(|slot| (&slot.partition, slot.epoch)),
                errand: Errand { fences: &fences, patience, burden, cause: &cause },
            };
            let applied = match (&admitted, &invalid) {
                (Err(Abandoned), _) => Err(Abandoned),
                (Ok(_), Some(refused)) => {
                    Ok(Some((RefusalReason::InvalidDefinition, refused.clone())))
                }
                (Ok(_), None) => self.apply(work).await,
            };
            let before = standing.len();
            if applied.is_err() {
                // Somebody else has the records of a fence that fell, and what they replaced.
                standing.retain(|slot| !slot.fence.has_fallen());
            }
            if applied.is_ok() || standing.is_empty() || standing.len() == before {
                break (applied, admitted);
            }
        };
        let Ok(refused) = applied else {
            // What waits behind the definition may go on, and so may what it replaced of the
            // assignments that we still have, when somebody else sends it now.
            let somebody_else = standing.is_empty();
            accepted.retain(|slot| somebody_else && !slot.fence.has_fallen());
            self.courier.settle(Settlement::Keyed { lane, accepted });
            return applied.map(drop);
        };
        if let Some((reason, refused)) = refused {
            let sent = Bytes::from(Value::Object(desired).to_string());
            if !refused.gave_up {
                self.courier.note_refused(standing.iter());
            }
            for slot in standing {
                self.courier.dead_letter(slot, reason, &refused, sent.clone());
            }
        } else {
            self.courier.sight.delivered(accepted.iter());
            self.courier.note_passed(standing.iter());
            accepted.extend(standing);
        }
        self.courier.settle(Settlement::Keyed { lane, accepted });
        Ok(())
    }

    /// Gives what the definition is meant to be, and why it cannot be that.
    fn take_up(&self, batch: &MetricBatch) -> (Map<String, Value>, Option<Refused>) {
        self.courier.sight.definition(batch);
        (desired(batch), Refused::invalid(batch))
    }

    async fn apply(&self, work: Work<'_>) -> Result<Option<(RefusalReason, Refused)>, Abandoned> {
        let Work { metric, desired, assignment, errand, .. } = work;
        if let Some(known) = self.remembered(metric, assignment)
            && difference(&known, desired) == Difference::Equal
        {
            self.courier.sight.unchanged();
            return Ok(None);
        }
        let settings = &self.courier.settings;
        let mut pauses = RetryPauses::new(settings.retry_initial, settings.retry_max);
        loop {
            match self.pass(work).await? {
                Pass::Settled(definition) => {
                    self.remember(metric, assignment, definition);
                    return Ok(None);
                }
                Pass::Refused(reason, refused) => return Ok(Some((reason, refused))),
                Pass::Again => self.courier.pause(pauses.next(None), errand.fences).await?,
            }
        }
    }

    /// Reads, compares, and creates or patches once.
    async fn pass(&self, work: Work<'_>) -> Result<Pass, Abandoned> {
        let Work { metric, intent, desired, errand, .. } = work;
        let get = |trace| async move { self.client.of_trace(trace).get(metric).await };
        let found = match self.courier.carry(Endpoint::MetricGet, get, errand).await? {
            Answered::Accepted(found) => found,
            Answered::Refused(refused) => return Ok(refused_pass(refused)),
        };
        let Some(current) = found else {
            return match intent {
                MetricIntent::Archive => self.archive_nothing(work).await,
                MetricIntent::Upsert(_) => self.create(desired, errand).await,
            };
        };
        match difference(&current, desired) {
            Difference::Equal => {
                self.courier.sight.unchanged();
                Ok(Pass::Settled(Some(current)))
            }
            Difference::KindDiffers { current, desired } => Ok(Pass::Refused(
                RefusalReason::MetricKindDiffers,
                Refused {
                    status: None,
                    detail: format!("the metric is of kind {current}, the record says {desired}"),
                    attempts: 1,
                    gave_up: false,
                },
            )),
            Difference::Patch(patch) => {
                let patch = &patch;
                let request = |trace| async move {
                    unless_conflict(self.client.of_trace(trace).patch(metric, patch).await)
                };
                Ok(match self.courier.carry(Endpoint::MetricUpdate, request, errand).await? {
                    Answered::Accepted(Some(Written::Done)) => Pass::Settled(None),
                    Answered::Accepted(_) => Pass::Again,
                    // The one before may have been carried out, and what it cleared cannot be
                    // cleared twice.
                    Answered::Refused(refused) if refused.attempts > 1 && !refused.gave_up => {
                        Pass::Again
                    }
                    Answered::Refused(refused) => refused_pass(refused),
                })
            }
        }
    }

    /// What is not there need not be archived, if it could be there.
    async fn archive_nothing(&self, work: Work<'_>) -> Result<Pass, Abandoned> {
        let Work { metric, errand, .. } = work;
        // Nothing else tells an unknown metric from an unknown project (P7).
        let find = |trace| async move { self.client.of_trace(trace).find_project().await };
        let project = self.courier.carry(Endpoint::MetricList, find, errand).await?;
        if let Answered::Refused(refused) = project {
            return Ok(refused_pass(refused));
        }
        // It may have taken a person to make the project known.
        let get = |trace| async move { self.client.of_trace(trace).get(metric).await };
        Ok(match self.courier.carry(Endpoint::MetricGet, get, errand).await? {
            Answered::Accepted(found) if found.is_none() => Pass::Settled(None),
            Answered::Accepted(_) => Pass::Again,
            Answered::Refused(refused) => refused_pass(refused),
        })
    }

    async fn create(
        &self,
        desired: &Map<String, Value>,
        errand: Errand<'_>,
    ) -> Result<Pass, Abandoned> {
        let create = |trace| async move { self.client.of_trace(trace).create(desired).await };
        Ok(match self.courier.carry(Endpoint::MetricCreate, create, errand).await? {
            Answered::Accepted(creation) => match creation {
                // What a creation does not take (the maintainer) is patched by another pass.
                Creation::Created(made) if difference(&made, desired) == Difference::Equal => {
                    Pass::Settled(Some(made))
                }
                Creation::Created(_) | Creation::AlreadyThere => Pass::Again,
            },
            Answered::Refused(refused) => refused_pass(refused),
        })
    }

    fn remembered(
        &self,
        metric: &Arc<str>,
        assignment: Option<(&Partition, Epoch)>,
    ) -> Option<Map<String, Value>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { at, seen_for, definition } = known.get(metric)?;
        let same = seen_for.as_ref().map(|(partition, epoch)| (partition, *epoch)) == assignment;
        (same && at.elapsed() < REMEMBERED).then(|| definition.clone())
    }

    fn remember(
        &self,
        metric: &Arc<str>,
        assignment: Option<(&Partition, Epoch)>,
        definition: Option<Map<String, Value>>,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(metric);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        if let Some(definition) = definition {
            let seen_for = assignment.map(|(partition, epoch)| (partition.clone(), epoch));
            known.insert(Arc::clone(metric), Known { at: Instant::now(), seen_for, definition });
        }
    }
}

/// The fields that a metric is meant to have, by LaunchDarkly's names.
pub fn desired(batch: &MetricBatch) -> Map<String, Value> {
    let mut desired = match &batch.intent {
        MetricIntent::Upsert(fields) => fields.clone(),
        MetricIntent::Archive => Map::from_iter([("archived".to_owned(), Value::Bool(true))]),
    };
    desired.insert("key".to_owned(), Value::from(&*batch.metric));
    desired
}

fn refused_pass(refused: Refused) -> Pass {
    Pass::Refused(refused.reason(), refused)
}

/// A conflict is no failure of the request but an answer: what was read is stale.
fn unless_conflict<T>(answer: Result<Answer<T>, ApiError>) -> Result<Answer<Option<T>>, ApiError> {
    match answer {
        Ok(Answer { value, status, limits, hint }) => {
            Ok(Answer { value: Some(value), status, limits, hint })
        }
        Err(ApiError {
            class: ErrorClass::Conflict, status: Some(status), limits, hint, ..
        }) => Ok(Answer { value: None, status, limits: *limits, hint }),
        Err(error) => Err(error),
    }
}
