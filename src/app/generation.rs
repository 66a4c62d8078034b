//! Builds everything between Kafka and LaunchDarkly from a configuration: once at the start, and once
//! more for each changed configuration that succeeds it.
//!
//! ```text
//! Generation: path ─▶ lanes ─▶ LaunchDarkly
//!              ▲ │        │
//!              │ └──▶ dead letters ─▶ Kafka
//!              └── settlements ┘
//! ```
//!
//! What lives longer is shared: tasks, metrics, the board, and the budgets while they stay the same.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::config::Config;
use crate::launchdarkly::events::{BodyCompression, EventsClient};
use crate::launchdarkly::metrics::MetricsClient;
use crate::launchdarkly::rest::RestClient;
use crate::launchdarkly::segments::SegmentsClient;
use crate::launchdarkly::settings::{TargetSettings, projects};
use crate::launchdarkly::token::LiveToken;
use crate::model::batch::TargetId;
use crate::model::outcome::DeadLetter;
use crate::model::progress::Settlement;
use crate::pipeline::dead_letter::{DeadLetterReports, DeadLetters};
use crate::pipeline::deliver::courier::{Courier, LaneReports};
use crate::pipeline::deliver::definitions::{self, DefinitionLanes};
use crate::pipeline::deliver::events::{self, EventLane};
use crate::pipeline::deliver::knowledge::KnowledgeReader;
use crate::pipeline::deliver::ordered::OrderedLanes;
use crate::pipeline::deliver::pacing::{Paces, Pacing};
use crate::pipeline::deliver::segments::{self, SegmentLanes};
use crate::pipeline::guard::Guard;
use crate::pipeline::path::{KnowledgeLinks, Outlets, Path, wanted};
use crate::pipeline::route::Router;
use crate::pipeline::settings::{DeliverySettings, PipelineSettings};
use crate::pipeline::source::Reports;
use crate::pipeline::succession::{Generation, Life};
use crate::runtime::tasks::TaskSet;
use crate::telemetry::board::{Board, Configuration, RouteView};
use crate::telemetry::clock;
use crate::telemetry::health::Health;
use crate::telemetry::traces::Tracer;

/// How long the first records wait for the checks to have read LaunchDarkly. When it takes longer, or
/// fails, they go without.
const FIRST_READING: Duration = Duration::from_secs(10);

/// Makes generations, and keeps what they share.
pub(super) struct Builder {
    pub(super) reports: Reports,
    pub(super) board: Board,
    pub(super) tracer: Tracer,
    pub(super) tasks: TaskSet,
    /// Cancelled when nobody waits for settlements any more.
    pub(super) abandoned: CancellationToken,
    /// What the requests of the newest generation are paced by.
    pub(super) paced: Option<Paced>,
    /// The number of the next generation.
    pub(super) next: u64,
}

/// Budgets, and what they were made for.
#[derive(Clone)]
pub(super) struct Paced {
    targets: Vec<TargetSettings>,
    delivery: DeliverySettings,
    /// What they report; they may outlive the generation that they were made for.
    health: Arc<Health>,
    paces: Paces,
}

/// A generation with what the outside keeps of it.
pub(super) struct Built {
    pub(super) generation: Generation,
    /// By the target's name.
    pub(super) tokens: Vec<(String, LiveToken)>,
}

/// A generation while it is built.
struct Site<'b> {
    builder: &'b Builder,
    config: &'b Config,
    life: Life,
    paces: Paces,
    tokens: Vec<(String, LiveToken)>,
}

impl Builder {
    /// Builds the next generation. Nothing of it is in force before a source has it; when it is
    /// dropped its tasks end.
    pub(super) async fn build(&mut self, config: &Config) -> Result<Built, AppError> {
        let number = self.next;
        let paced = self.paced(config, number);
        let life = Life {
            ended: self.abandoned.child_token(),
            health: Arc::new(self.reports.health.scoped(number)),
        };
        let paces = paced.paces.clone();
        let mut site = Site { builder: self, config, life, paces, tokens: Vec::new() };
        let (settle, settlements) = channel();
        let (dead_letters, incoming) = mpsc::unbounded_channel();
        site.start_dead_letters(settle.clone(), incoming)?;
        let (health, metrics) = (Arc::clone(&site.life.health), self.reports.metrics.clone());
        let guard = Arc::new(Guard::new(&config.pipeline, health, metrics.clone()));
        let outlets = site.start_lanes(&settle, &dead_letters, &guard)?;
        let links = site.start_checks()?;
        first_reading(&links).await;
        let Site { life, tokens, .. } = site;
        let path = Path::new(config.pipeline.clone(), outlets, settlements, guard, &metrics)
            .in_generation(number, self.board.clone())
            .with_checks(links, projects(&config.targets), &metrics);
        self.next = number + 1;
        if let Some(before) = self.paced.replace(paced)
            && self.paced.as_ref().is_some_and(|now| !Arc::ptr_eq(&before.health, &now.health))
        {
            before.health.retire();
            if let Some(now) = &self.paced {
                now.paces.tell_inherited();
            }
        }
        Ok(Built { generation: Generation { number, path, life }, tokens })
    }

    /// The budgets of the generation before where nothing of them changes: what they have learnt of
    /// LaunchDarkly's limits, and what waits for them, goes on.
    fn paced(&self, config: &Config, number: u64) -> Paced {
        let (targets, delivery) = (&config.targets, &config.pipeline.delivery);
        if let Some(known) = self.paced.as_ref().filter(|known| known.fits(targets, delivery)) {
            return known.clone();
        }
        let health = Arc::new(self.reports.health.scoped(u64::MAX - number));
        let paces = Paces::new(targets, delivery, &self.reports.metrics, &health);
        if let Some(before) = &self.paced {
            inherit(&paces, targets, before);
        }
        let (looking, abandoned) = (paces.look_after(), self.abandoned.clone());
        self.tasks.spawn("outages", async move {
            tokio::select! {
                () = looking => {}
                () = abandoned.cancelled() => {}
            }
        });
        Paced { targets: targets.clone(), delivery: delivery.clone(), health, paces }
    }
}

impl Paced {
    fn fits(&self, targets: &[TargetSettings], delivery: &DeliverySettings) -> bool {
        let of_target = |(one, other): (&TargetSettings, &TargetSettings)| {
            let place =
                |it: &TargetSettings| (it.name.clone(), it.events_url.clone(), it.api_url.clone());
            place(one) == place(other) && one.has_token_of(other)
        };
        let of_delivery = |it: &DeliverySettings| {
            let quota = (it.requests_per_second, it.burst, it.reserve_percent);
            (quota, it.concurrency, it.retry_initial, it.retry_max)
        };
        self.targets.len() == targets.len()
            && self.targets.iter().zip(targets).all(of_target)
            && of_delivery(&self.delivery) == of_delivery(delivery)
    }
}

impl Site<'_> {
    fn start_dead_letters(
        &self,
        settlements: Sender<Settlement>,
        incoming: mpsc::UnboundedReceiver<DeadLetter>,
    ) -> Result<(), AppError> {
        let Builder { reports, board, tasks, .. } = self.builder;
        let reports = DeadLetterReports {
            settlements,
            health: Arc::clone(&self.life.health),
            metrics: reports.metrics.clone(),
            board: board.clone(),
        };
        let PipelineSettings { routes, dead_letter, .. } = &self.config.pipeline;
        let (topic, router) = (dead_letter.topic.clone(), Router::new(routes));
        let mapping = move |topic: &str| router.topic(topic).map(|routes| routes.mapping());
        let ended = self.life.ended.clone();
        let stage = DeadLetters::new(&self.config.kafka, topic, Box::new(mapping), reports, ended)?;
        tasks.spawn("dead_letters", Arc::new(stage).run(incoming, tasks.clone()));
        Ok(())
    }

    fn start_lanes(
        &mut self,
        settlements: &Sender<Settlement>,
        dead_letters: &mpsc::UnboundedSender<DeadLetter>,
        guard: &Arc<Guard>,
    ) -> Result<Outlets, AppError> {
        let delivery = &self.config.pipeline.delivery;
        let compression = if delivery.gzip { BodyCompression::Gzip } else { BodyCompression::None };
        let Builder { reports, board, tracer, tasks, .. } = self.builder;
        let reports = LaneReports {
            settlements: settlements.clone(),
            dead_letters: dead_letters.clone(),
            guard: Arc::clone(guard),
            health: Arc::clone(&self.life.health),
            metrics: reports.metrics.clone(),
            board: board.clone(),
            tracer: tracer.clone(),
        };
        let mut outlets =
            Outlets { events: Vec::new(), keyed: Vec::new(), dead_letters: dead_letters.clone() };
        let paces = self.paces.events.iter().zip(&self.paces.rest);
        for (id, (target, (events_pacing, rest_pacing))) in
            self.config.targets.iter().zip(paces).enumerate()
        {
            let courier = |operation, pacing: &Arc<Pacing>| {
                let retry_for = self.config.pipeline.retry_for(TargetId(id), operation);
                let priority = self.config.pipeline.priority(TargetId(id), operation);
                Courier::new(
                    target.name.clone(),
                    operation,
                    DeliverySettings { retry_for, priority, ..delivery.clone() },
                    Arc::clone(pacing),
                    reports.clone(),
                    self.life.ended.clone(),
                )
            };
            let client = EventsClient::new(target, compression, delivery.request_timeout)?;
            self.tokens.push((target.name.clone(), client.token()));
            let lane = Arc::new(EventLane::new(client, courier(events::OPERATION, events_pacing)));
            let (send, batches) = mpsc::unbounded_channel();
            tasks.spawn("event_lane", lane.run(batches, tasks.clone()));
            outlets.events.push(send);

            let rest = RestClient::new(target, delivery.request_timeout, clock::now_ms)?;
            self.tokens.push((target.name.clone(), rest.token()));
            let lanes = Arc::new(OrderedLanes {
                segments: SegmentLanes::new(
                    SegmentsClient::new(rest.clone()),
                    courier(segments::OPERATION, rest_pacing),
                ),
                definitions: DefinitionLanes::new(
                    MetricsClient::new(rest),
                    courier(definitions::OPERATION, rest_pacing),
                ),
            });
            let (send, batches) = mpsc::unbounded_channel();
            tasks.spawn("ordered_lanes", lanes.run(batches, tasks.clone()));
            outlets.keyed.push(send);
        }
        Ok(outlets)
    }

    /// Begins to read what the targets have, where routes want it checked.
    fn start_checks(&mut self) -> Result<KnowledgeLinks, AppError> {
        let pipeline = &self.config.pipeline;
        if !pipeline.checks.enabled {
            return Ok(Vec::new());
        }
        let wanted = wanted(&pipeline.routes, self.config.targets.len());
        let mut links = KnowledgeLinks::new();
        let targets = self.config.targets.iter().zip(&self.paces.rest);
        for ((target, pacing), wanted) in targets.zip(wanted) {
            let Some(wanted) = wanted else {
                links.push(None);
                continue;
            };
            let (reader, link) = KnowledgeReader::new(
                target,
                wanted,
                pipeline.checks,
                &pipeline.delivery,
                Arc::clone(pacing),
                self.builder.reports.metrics.clone(),
            )?;
            self.tokens.push((target.name.clone(), link.token));
            let reader = reader.traced(self.builder.tracer.clone());
            self.builder.tasks.spawn("checks", reader.run(self.life.ended.clone()));
            links.push(Some((link.knowledge, link.questions)));
        }
        Ok(links)
    }
}

/// A server that asked for a pause gets it from the budgets that follow, too.
fn inherit(paces: &Paces, targets: &[TargetSettings], before: &Paced) {
    let now = targets.iter().zip(paces.events.iter().zip(&paces.rest));
    for (target, (events, rest)) in now {
        let known = before.paces.events.iter().zip(&before.paces.rest);
        for (it, (its_events, its_rest)) in before.targets.iter().zip(known) {
            if it.events_url == target.events_url {
                events.inherit(its_events);
            }
            if it.api_url == target.api_url {
                rest.inherit(its_rest);
            }
        }
    }
}

/// What is in force, for the board.
pub(super) fn configuration(
    config: &Config,
    generation: u64,
    file: Option<String>,
) -> Configuration {
    let name = |target: TargetId| config.pipeline.targets.get(target.0).cloned();
    let routes = config.pipeline.routes.iter().map(|route| RouteView {
        name: route.name.clone(),
        operation: route.operation.as_str(),
        target: name(route.operation.target()).unwrap_or_default(),
        topics: route.topics.iter().map(|topic| topic.as_str().to_owned()).collect(),
    });
    let (routes, effective) = (routes.collect(), config.effective.clone());
    Configuration { generation, file, routes, effective }
}

/// Waits until every target has been read once, as far as that is possible soon.
async fn first_reading(links: &KnowledgeLinks) {
    let all = async {
        for (knowledge, _) in links.iter().flatten() {
            // An ended reader has nothing more to tell.
            drop(knowledge.clone().wait_for(|knowledge| knowledge.edition > 0).await);
        }
    };
    if tokio::time::timeout(FIRST_READING, all).await.is_err() {
        tracing::warn!(
            patience = ?FIRST_READING,
            "what LaunchDarkly has is not known yet; records go without being checked until it is"
        );
    }
}
