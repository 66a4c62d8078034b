//! Puts the parts together and runs them: the only file that knows every part.
//!
//! ```text
//! Kafka ─▶ source (thread) ─▶ generation of the configuration ─▶ LaunchDarkly
//!                                      ▲
//!                 SIGHUP, /reload ─▶ reload
//! ```
//!
//! Ending: the source drains and leaves first, then what it fed is abandoned, then the admin
//! address closes.

mod generation;
mod reload;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::generation::{Builder, Built, configuration};
use self::reload::Reloader;
use crate::config::Config;
use crate::kafka::startup::{Needs, StartupError, check};
use crate::launchdarkly::settings::ClientError;
use crate::pipeline::dead_letter::DeadLetterError;
use crate::pipeline::source::{Reports, Source, SourceError, Stop, Stopped};
use crate::pipeline::succession::{Generation, Generations};
use crate::runtime::shutdown::{HangUps, Shutdown};
use crate::runtime::tasks::{TaskFailure, TaskSet};
use crate::telemetry::admin::{Access, Admin, AdminError, ReloadRequest, Shown};
use crate::telemetry::board::Board;
use crate::telemetry::health::Health;
use crate::telemetry::logging;
use crate::telemetry::metrics::{Metrics, MetricsError};
use crate::telemetry::traces::{self, CollectorError, Ending, Exporter, Tracer};

/// Beyond the drain deadline: the last commit and leaving the group.
const LEAVE: Duration = Duration::from_secs(15);
/// The first generation of the configuration.
const FIRST: u64 = 1;
/// The part's name in `/ready` until the pipeline runs.
const STARTING: &str = "startup";

/// A service that is bound to its admin address and not running yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    admin: Admin,
    reports: Reports,
    board: Board,
    tracer: Tracer,
    /// Carries spans away, where that is wanted.
    exporter: Option<Exporter>,
    /// Whence the configuration is read again, when it came from a file.
    reloads: Option<Reloads>,
}

#[derive(Debug)]
struct Reloads {
    file: PathBuf,
    requests: mpsc::Receiver<ReloadRequest>,
    hang_ups: Option<HangUps>,
}

/// Why the service cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Collector(#[from] CollectorError),
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
    /// Binds the admin address. The `file` is what a reload reads again.
    pub async fn bind(config: Config, file: Option<PathBuf>) -> Result<Self, AppError> {
        let (health, metrics) = (Arc::new(Health::default()), Metrics::new()?);
        health.beat();
        health.fault(STARTING, "connecting to kafka");
        let traces = config.traces.as_ref().map(|it| traces::start(it, &metrics)).transpose()?;
        let (tracer, exporter) = traces.unzip();
        let (ask, requests) = mpsc::channel(1);
        let board = Board::default();
        let path = file.as_ref().map(|file| file.display().to_string());
        board.set_configuration(configuration(&config, FIRST, path));
        let shown = Shown {
            health: Arc::clone(&health),
            metrics: metrics.clone(),
            board: board.clone(),
            reloads: file.is_some().then_some(ask),
        };
        let admin = Admin::bind(config.admin.clone(), shown).await?;
        let reloads = file.map(|file| {
            let hang_ups = HangUps::install();
            if let Err(error) = &hang_ups {
                tracing::warn!(%error, "SIGHUP cannot be heard; reload through the admin address");
            }
            Reloads { file, requests, hang_ups: hang_ups.ok() }
        });
        let (tracer, reports) = (tracer.unwrap_or_default(), Reports { health, metrics });
        Ok(Self { config, admin, reports, board, tracer, exporter, reloads })
    }

    /// Where `/metrics`, `/live` and `/ready` are.
    pub fn admin_address(&self) -> std::net::SocketAddr {
        self.admin.address()
    }

    /// Runs until a stop is requested or something fails for good.
    pub async fn run(self, shutdown: Shutdown) -> Result<Stopped, AppError> {
        let Self { config, admin, reports, board, tracer, exporter, reloads } = self;
        let failed = CancellationToken::new();
        let tasks = TaskSet::new(failed.clone());
        let admin_stop = CancellationToken::new();
        let access = admin.access();
        tasks.spawn("admin", admin.serve(admin_stop.clone()));
        tasks.spawn("log_limit", tell_left_out(admin_stop.clone()));
        let abandoned = CancellationToken::new();
        if let Some(exporter) = exporter {
            let ending = Ending {
                requested: shutdown.requested.clone(),
                drained: abandoned.clone(),
                immediate: shutdown.immediate.clone(),
                deadline: config.pipeline.drain_deadline,
            };
            tasks.spawn("spans", exporter.run(ending));
        }
        let running = Running {
            config,
            reports,
            board,
            tracer,
            reloads,
            access,
            tasks: tasks.clone(),
            failed,
            abandoned: abandoned.clone(),
        };
        let ended = running.run(shutdown).await;
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
    board: Board,
    tracer: Tracer,
    reloads: Option<Reloads>,
    access: Access,
    tasks: TaskSet,
    /// Cancelled when a task panics.
    failed: CancellationToken,
    /// Cancelled when nobody waits for settlements any more.
    abandoned: CancellationToken,
}

impl Running {
    async fn run(mut self, shutdown: Shutdown) -> Result<Stopped, AppError> {
        tokio::select! {
            checked = self.check_kafka(shutdown.requested.clone()) => checked?,
            () = shutdown.requested.cancelled() => return Ok(Stopped::Clean),
        }
        let mut builder = Builder {
            reports: self.reports.clone(),
            board: self.board.clone(),
            tracer: self.tracer.clone(),
            tasks: self.tasks.clone(),
            abandoned: self.abandoned.clone(),
            paced: None,
            next: FIRST,
        };
        let Built { generation, tokens } = tokio::select! {
            built = builder.build(&self.config) => built?,
            () = shutdown.requested.cancelled() => return Ok(Stopped::Clean),
        };
        let (successors, next) = channel();
        if let Some(Reloads { file, requests, hang_ups }) = self.reloads.take() {
            let config = self.config.clone();
            let access = self.access.clone();
            let reloader = Reloader { file, config, builder, tokens, successors, access, requests };
            let (stop, abandoned) = (shutdown.requested.clone(), self.abandoned.clone());
            self.tasks.spawn("reload", async move {
                tokio::select! {
                    // The service may end without being asked to.
                    () = abandoned.cancelled() => {}
                    () = reloader.run(hang_ups, stop) => {}
                }
            });
        }
        self.reports.health.heal(STARTING);
        self.run_source(generation, next, shutdown).await
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

    async fn run_source(
        &self,
        first: Generation,
        successors: Receiver<Generation>,
        shutdown: Shutdown,
    ) -> Result<Stopped, AppError> {
        let drain_deadline = self.config.pipeline.drain_deadline;
        let topics = self.config.pipeline.topics();
        let reports = self.reports.clone();
        let intake = Generations::new(first, successors, drain_deadline, self.board.clone());
        let source = Source::new(&self.config.kafka, &topics, drain_deadline, intake, reports)?;
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

/// Tells from time to time which lines the log has left out.
async fn tell_left_out(stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(logging::LIMIT_WINDOW) => logging::tell_left_out(),
        }
    }
}
