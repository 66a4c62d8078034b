//! `ldsink demo`: everything in one process, and a proof at the end.
//!
//! ```text
//! shop ─▶ generator ─▶ broker ─▶ service (the real pipeline) ─▶ sandbox
//!            │            │                                        │
//!         manifest     observer (commits, dead letters)         journal
//!            └────────────┴──────────▶ verdict ◀──────────────────┘
//! ```
//!
//! The verdict rests on what the generator wrote down and on what arrived. The pipeline's own
//! counters are no evidence: a pipeline that loses a record may well count it as delivered.
//!
//! # Invariants
//! - D1: the verdict is passed when the pipeline has stopped, or while it has nothing to do.
//! - D2: nothing waits for a time to pass; it waits for something to be seen, with a deadline.
//!
//! Reading order: `shop` and `envelope` (the changes), `window` (why the generator waits),
//! `generator`, `verdict`, `summary`.
//!
//! Not here: the pipeline, the sandbox (rooms of their own), arguments and exit codes (`cli::demo`).

mod broker;
mod envelope;
mod evidence;
mod generator;
mod journal;
mod manifest;
mod observer;
mod progress;
mod service;
mod shop;
mod stage;
mod summary;
mod verdict;
mod window;

use tokio_util::sync::CancellationToken;

use self::broker::BrokerError;
use self::generator::{GeneratorError, Pace};
use self::journal::JournalError;
use self::progress::Progress;
use self::service::{AdminPort, ServiceError};
use self::stage::Stage;
pub use self::summary::Report;
use self::summary::{Finish, NEXT, addresses, opening};
use self::verdict::Verdict;
use crate::config::Mistakes;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::tasks::{TaskFailure, TaskSet};
use crate::sandbox::SandboxError;

/// Records unless asked for: some seconds at the pace below.
pub const DEFAULT_RECORDS: u64 = 100_000;
/// The sandbox remembers every event: a million records take some hundred megabytes.
pub const MOST_RECORDS: u64 = 1_000_000;
/// A pace that a laptop keeps up with: see what the pipeline adds, not where the machine ends.
const PER_SECOND: u32 = 20_000;
/// While one looks around.
const PER_SECOND_AFTERWARDS: u32 = 200;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub records: u64,
    /// Whether to go on slowly after the summary, until a stop is requested.
    pub keep_running: bool,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("{0}")]
    Configuration(Mistakes),
    #[error("Kafka cannot be observed")]
    Observer(#[from] rdkafka::error::KafkaError),
    #[error("the service failed")]
    Service(#[from] ServiceError),
    #[error("the generator failed")]
    Generator(#[from] GeneratorError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Task(#[from] TaskFailure),
    #[error("stopped before the first change was produced")]
    Stopped,
    #[error("the generator's thread ended early")]
    GeneratorGone,
}

/// Runs the demo. `tell` is called with texts for people; progress goes to stderr by itself.
///
/// # Errors
/// What kept the demo from coming to a verdict.
pub async fn run(
    options: Options,
    shutdown: Shutdown,
    tell: fn(&str),
) -> Result<Report, DemoError> {
    // The broker goes last: a client without a broker complains.
    let (over, last) = (CancellationToken::new(), CancellationToken::new());
    // Were this to unwind, threads that nobody stops would keep the process from ending.
    let _guards = (over.clone().drop_guard(), last.clone().drop_guard());
    let (tasks, broker) = (TaskSet::new(over.clone()), TaskSet::new(over.clone()));
    let ended = async {
        let port = if options.keep_running { AdminPort::Usual } else { AdminPort::Free };
        let stage = tokio::select! {
            stage = Stage::set(port, &tasks, &over, &broker, &last) => stage?,
            () = shutdown.requested.cancelled() => return Err(DemoError::Stopped),
        };
        play(stage, options, &shutdown, tell).await
    };
    let ended = ended.await;
    over.cancel();
    let mut failures = tasks.join().await;
    last.cancel();
    failures.extend(broker.join().await);
    match failures.into_iter().next() {
        Some(failure) => Err(failure.into()),
        None => ended,
    }
}

async fn play(
    mut stage: Stage,
    options: Options,
    shutdown: &Shutdown,
    tell: fn(&str),
) -> Result<Report, DemoError> {
    tell(&opening(options.records, PER_SECOND, stage.addresses()));
    let pace = Pace { records: Some(options.records), per_second: PER_SECOND };
    let (finish, elapsed) = stage.produce(pace, Progress::of(options.records), shutdown).await?;
    let mut report = Report {
        verdict: Verdict::default(),
        finish,
        stopped: None,
        asked: options.records,
        elapsed,
        per_second: Some(PER_SECOND),
    };
    if options.keep_running && finish == Finish::Complete && !shutdown.requested.is_cancelled() {
        report.verdict = stage.verdict().await?;
        tell(&report.in_words());
        tell(&addresses(stage.addresses(), PER_SECOND_AFTERWARDS));
        let pace = Pace { records: None, per_second: PER_SECOND_AFTERWARDS };
        let (finished, longer) = stage.produce(pace, Progress::Silent, shutdown).await?;
        (report.finish, report.elapsed, report.per_second) = (finished, elapsed + longer, None);
    }
    let (verdict, stopped) = stage.strike(shutdown).await?;
    (report.verdict, report.stopped) = (verdict, Some(stopped));
    tell(&report.in_words());
    if !options.keep_running {
        tell(NEXT);
    }
    Ok(report)
}
