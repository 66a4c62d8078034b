//! Puts the parts together and runs them: the only file that knows every part.
//!
//! ```text
//! Kafka ─▶ source (thread) ─▶ path ─▶ lanes ─▶ LaunchDarkly
//!              ▲                │        │
//!              │                ▼        ▼
//!              │            dead letters ─▶ Kafka
//!              └── settlements ◀─────────┘
//! ```
//!
//! Ending: the source drains and leaves first, then what it fed is abandoned, then the admin
//! address closes.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::kafka::startup::{Needs, StartupError, check};
use crate::launchdarkly::events::{BodyCompression, EventsClient};
use crate::launchdarkly::metrics::MetricsClient;
use crate::launchdarkly::rest::RestClient;
use crate::launchdarkly::segments::SegmentsClient;
use crate::launchdarkly::settings::{ClientError, projects};
use crate::model::batch::TargetId;
use crate::model::outcome::DeadLetter;
use crate::model::progress::Settlement;
use crate::pipeline::dead_letter::{DeadLetterError, DeadLetterReports, DeadLetters};
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
use crate::pipeline::source::{Reports, Source, SourceError, Stop, Stopped};
use crate::runtime::shutdown::Shutdown;
use crate::runtime::tasks::{TaskFailure, TaskSet};
use crate::telemetry::admin::{Admin, AdminError};
use crate::telemetry::clock;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::{Metrics, MetricsError};

/// Beyond the drain deadline: the last commit and leaving the group.
const LEAVE: Duration = Duration::from_secs(15);
/// How long the first records wait for the checks to have read LaunchDarkly. When it takes longer, or
/// fails, they go without.
const FIRST_READING: Duration = Duration::from_secs(10);
/// The part's name in `/ready` until the pipeline runs.
const STARTING: &str = "startup";

/// A service that is bound to its admin address and not running yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    admin: Admin,
    reports: Reports,
}

/// Why the service cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Startup(#[from] StartupError),
    #[error(transparent)]
    LaunchDarkly(#[from] ClientError),
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Task(#[from] TaskFailure),
    #[error("the consumer thread did not end within {0:?} after it was told to")]
    Late(Duration),
    #[error(
        "the consumer thread has not turned for {0:?}; its records are read by others, or again"
    )]
    Stuck(Duration),
}

impl App {
    /// Binds the admin address.
    pub async fn bind(config: Config) -> Result<Self, AppError> {
        let (health, metrics) = (Arc::new(Health::default()), Metrics::new()?);
        health.beat();
        health.fault(STARTING, "connecting to kafka");
        let admin = Admin::bind(config.admin, Arc::clone(&health), metrics.clone()).await?;
        Ok(Self { config, admin, reports: Reports { health, metrics } })
    }

    /// Where `/metrics`, `/live` and `/ready` are.
    pub fn admin_address(&self) -> std::net::SocketAddr {
        self.admin.address()
    }

    /// Runs until a stop is requested or something fails for good.
    pub async fn run(self, shutdown: Shutdown) -> Result<Stopped, AppError> {
        let Self { config, admin, reports } = self;
        let failed = CancellationToken::new();
        let tasks = TaskSet::new(failed.clone());
        let admin_stop = CancellationToken::new();
        tasks.spawn("admin", admin.serve(admin_stop.clone()));
        let abandoned = CancellationToken::new();
        let ended =
            Running { config, reports, tasks: tasks.clone(), failed, abandoned: abandoned.clone() }
                .run(shutdown)
                .await;
        abandoned.cancel();
        admin_stop.cancel();
        if matches!(ended, Err(AppError::Late(_) | AppError::Stuck(_))) {
            // Waiting for a stuck thread would hang here as well.
            return ended;
        }
        match tasks.join().await.into_iter().next() {
            Some(failure) => Err(failure.into()),
            None => ended,
        }
    }
}

/// What the running parts share.
struct Running {
    config: Config,
    reports: Reports,
    tasks: TaskSet,
    /// Cancelled when a task panics.
    failed: CancellationToken,
    /// Cancelled when nobody waits for settlements any more.
    abandoned: CancellationToken,
}

impl Running {
    async fn run(self, shutdown: Shutdown) -> Result<Stopped, AppError> {
        tokio::select! {
            checked = self.check_kafka(shutdown.requested.clone()) => checked?,
            () = shutdown.requested.cancelled() => return Ok(Stopped::Clean),
        }
        let (settle, settlements) = channel();
        let (dead_letters, incoming) = mpsc::unbounded_channel();
        self.start_dead_letters(settle.clone(), incoming)?;
        let Reports { health, metrics } = &self.reports;
        let pipeline = self.config.pipeline.clone();
        let paces = Paces::new(&self.config.targets, &pipeline.delivery, metrics, health);
        let guard = Arc::new(Guard::new(&pipeline, Arc::clone(health), metrics.clone()));
        let outlets = self.start_lanes(&settle, &dead_letters, &guard, &paces)?;
        let links = self.start_checks(&paces)?;
        tokio::select! {
            () = first_reading(&links) => {}
            () = shutdown.requested.cancelled() => return Ok(Stopped::Clean),
        }
        let path = Path::new(pipeline, outlets, settlements, guard, metrics).with_checks(
            links,
            projects(&self.config.targets),
            metrics,
        );
        self.reports.health.heal(STARTING);
        self.run_source(path, shutdown).await
    }

    async fn check_kafka(&self, stop: CancellationToken) -> Result<(), AppError> {
        let settings = self.config.kafka.clone();
        let needs = Needs {
            topics: self.config.pipeline.topics(),
            dead_letter_topic: self.config.pipeline.dead_letter.topic.clone(),
            create_dead_letter_topic: self.config.pipeline.dead_letter.create,
        };
        tracing::info!(
            servers = settings.bootstrap_servers,
            group = settings.group_id,
            topics = ?needs.topics,
            "connecting to kafka"
        );
        let (tell, told) = oneshot::channel();
        self.tasks.spawn_blocking("kafka_check", move || {
            if tell.send(check(&settings, &needs, &stop)).is_err() {
                tracing::debug!("stopped while kafka was being checked");
            }
        });
        // The sender is only dropped unsent by a panic, which the task set reports.
        told.await.unwrap_or(Ok(())).map_err(AppError::from)
    }

    fn start_dead_letters(
        &self,
        settlements: Sender<Settlement>,
        incoming: mpsc::UnboundedReceiver<DeadLetter>,
    ) -> Result<(), AppError> {
        let reports = DeadLetterReports {
            settlements,
            health: Arc::clone(&self.reports.health),
            metrics: self.reports.metrics.clone(),
        };
        let PipelineSettings { routes, dead_letter, .. } = &self.config.pipeline;
        let (topic, router) = (dead_letter.topic.clone(), Router::new(routes));
        let mapping = move |topic: &str| router.topic(topic).map(|routes| routes.mapping());
        let abandoned = self.abandoned.clone();
        let stage =
            DeadLetters::new(&self.config.kafka, topic, Box::new(mapping), reports, abandoned)?;
        self.tasks.spawn("dead_letters", Arc::new(stage).run(incoming, self.tasks.clone()));
        Ok(())
    }

    fn start_lanes(
        &self,
        settlements: &Sender<Settlement>,
        dead_letters: &mpsc::UnboundedSender<DeadLetter>,
        guard: &Arc<Guard>,
        paces: &Paces,
    ) -> Result<Outlets, AppError> {
        let delivery = &self.config.pipeline.delivery;
        let compression = if delivery.gzip { BodyCompression::Gzip } else { BodyCompression::None };
        let reports = LaneReports {
            settlements: settlements.clone(),
            dead_letters: dead_letters.clone(),
            guard: Arc::clone(guard),
            health: Arc::clone(&self.reports.health),
            metrics: self.reports.metrics.clone(),
        };
        let mut outlets =
            Outlets { events: Vec::new(), keyed: Vec::new(), dead_letters: dead_letters.clone() };
        let paces = paces.events.iter().zip(&paces.rest);
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
                    self.abandoned.clone(),
                )
            };
            let client = EventsClient::new(target, compression, delivery.request_timeout)?;
            let lane = Arc::new(EventLane::new(client, courier(events::OPERATION, events_pacing)));
            let (send, batches) = mpsc::unbounded_channel();
            self.tasks.spawn("event_lane", lane.run(batches, self.tasks.clone()));
            outlets.events.push(send);

            let rest = RestClient::new(target, delivery.request_timeout, clock::now_ms)?;
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
            self.tasks.spawn("ordered_lanes", lanes.run(batches, self.tasks.clone()));
            outlets.keyed.push(send);
        }
        Ok(outlets)
    }

    /// Begins to read what the targets have, where routes want it checked.
    fn start_checks(&self, paces: &Paces) -> Result<KnowledgeLinks, AppError> {
        let pipeline = &self.config.pipeline;
        if !pipeline.checks.enabled {
            return Ok(Vec::new());
        }
        let wanted = wanted(&pipeline.routes, self.config.targets.len());
        let mut links = KnowledgeLinks::new();
        for ((target, pacing), wanted) in self.config.targets.iter().zip(&paces.rest).zip(wanted) {
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
                self.reports.metrics.clone(),
            )?;
            self.tasks.spawn("checks", reader.run(self.abandoned.clone()));
            links.push(Some((link.knowledge, link.questions)));
        }
        Ok(links)
    }

    async fn run_source(&self, path: Path, shutdown: Shutdown) -> Result<Stopped, AppError> {
        let drain_deadline = self.config.pipeline.drain_deadline;
        let topics = self.config.pipeline.topics();
        let reports = self.reports.clone();
        let source = Source::new(&self.config.kafka, &topics, drain_deadline, path, reports)?;
        let stop =
            Stop { requested: shutdown.requested.child_token(), immediate: shutdown.immediate };
        let source_stop = stop.clone();
        let (tell, told) = oneshot::channel();
        self.tasks.spawn_blocking("consumer", move || {
            if tell.send(source.run(&source_stop)).is_err() {
                tracing::debug!("nobody waits for the consumer thread");
            }
        });
        let mut told = told;
        tokio::select! {
            // The sender is only dropped unsent by a panic, which the task set reports.
            ended = &mut told => return ended.unwrap_or(Ok(Stopped::Unfinished)).map_err(AppError::from),
            () = stop.requested.cancelled() => {}
            after = self.reports.health.stuck() => return Err(AppError::Stuck(after)),
            () = self.failed.cancelled() => {
                // A dead part cannot settle anything, so there is nothing to drain for.
                stop.immediate.cancel();
                stop.requested.cancel();
            }
        }
        tracing::info!(deadline = ?drain_deadline, "draining");
        let patience = drain_deadline + LEAVE;
        match tokio::time::timeout(patience, told).await {
            Ok(ended) => ended.unwrap_or(Ok(Stopped::Unfinished)).map_err(AppError::from),
            Err(_) => Err(AppError::Late(patience)),
        }
    }
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
