//! Sets everything up, runs the generator and watches until all it produced is settled.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::evidence::Evidence;
use super::generator::{Generator, GeneratorError, Pace};
use super::journal::Journal;
use super::manifest::Manifest;
use super::observer::{self, Seen};
use super::progress::{Progress, Standing};
use super::service::{AdminPort, Service, configuration};
use super::summary::{Addresses, Finish};
use super::verdict::Verdict;
use super::{DemoError, broker};
use crate::pipeline::source::Stopped;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::tasks::TaskSet;
use crate::sandbox::{Sandbox, Settings};
use crate::telemetry::logging::Chain;

/// Between two looks at what has arrived.
const LOOK: Duration = Duration::from_millis(100);
/// Without any progress for so long, nothing will come any more: every retry is faster.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that runs, and what is known about it.
#[derive(Debug)]
pub(super) struct Stage {
    addresses: Addresses,
    service: Service,
    /// Taken while it produces.
    generator: Option<Generator>,
    manifest: Arc<Mutex<Manifest>>,
    seen: Arc<Mutex<Seen>>,
    journal: Journal,
    evidence: Evidence,
    tasks: TaskSet,
}

/// A generator at work.
struct Working {
    stop: CancellationToken,
    done: oneshot::Receiver<(Generator, Result<(), GeneratorError>)>,
}

impl Stage {
    /// Starts everything and waits until records can flow. What runs ends with `over`, the broker
    /// with `last`.
    pub(super) async fn set(
        port: AdminPort,
        tasks: &TaskSet,
        over: &CancellationToken,
        brokers: &TaskSet,
        last: &CancellationToken,
    ) -> Result<Self, DemoError> {
        // The metric that counts what the demo's route makes; see `config/demo.yaml`.
        let event_metrics = vec![("storefront".to_owned(), "checkout-total".to_owned())];
        let sandbox = Sandbox::bind(Settings { event_metrics, ..Settings::default() }).await?;
        let sandbox_url = format!("http://{}", sandbox.address());
        // The file is read before there is a broker, only to know the topic to make.
        let draft = configuration("127.0.0.1:1", &sandbox_url).map_err(DemoError::Configuration)?;
        let letters = draft.pipeline.dead_letter.topic;
        let kafka = broker::start(letters.clone(), brokers, last.clone()).await?;
        let config = configuration(&kafka, &sandbox_url).map_err(DemoError::Configuration)?;
        let serving = sandbox.serve(over.clone());
        tasks.spawn("sandbox", async move {
            if let Err(error) = serving.await {
                tracing::error!(error = %Chain(&error), "the sandbox ended");
            }
        });
        let manifest = Arc::default();
        let seen = observer::start(&config.kafka, letters, tasks, over.clone())?;
        let generator = Generator::new(&config.kafka, Arc::clone(&manifest), Arc::clone(&seen))?;
        let http = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        let mut service = Service::start(config, port, tasks).await?;
        service.ready(&http).await?;
        Ok(Self {
            addresses: Addresses {
                kafka,
                sandbox: sandbox_url.clone(),
                admin: service.admin_url(),
            },
            service,
            generator: Some(generator),
            manifest,
            seen,
            journal: Journal::new(http, sandbox_url),
            evidence: Evidence::default(),
            tasks: tasks.clone(),
        })
    }

    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Produces, and watches until all of it is settled. A requested stop ends the producing, an
    /// immediate one the watching too. Gives how it ended and how long it took.
    pub(super) async fn produce(
        &mut self,
        pace: Pace,
        mut progress: Progress,
        shutdown: &Shutdown,
    ) -> Result<(Finish, Duration), DemoError> {
        let started = Instant::now();
        let watched = match self.begin(pace) {
            Some(working) => self.watch(working, &mut progress, shutdown).await,
            None => Err(DemoError::GeneratorGone),
        };
        progress.finish();
        Ok((watched?, started.elapsed()))
    }

    fn begin(&mut self, pace: Pace) -> Option<Working> {
        let mut generator = self.generator.take()?;
        let (tell, done) = oneshot::channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        self.tasks.spawn_blocking("generator", move || {
            let result = generator.run(pace, &stopped);
            if tell.send((generator, result)).is_err() {
                tracing::debug!("nobody waits for the generator");
            }
        });
        Some(Working { stop, done })
    }

    async fn watch(
        &mut self,
        mut working: Working,
        progress: &mut Progress,
        shutdown: &Shutdown,
    ) -> Result<Finish, DemoError> {
        // Whatever ends the watching ends the generator.
        let _stop = working.stop.clone().drop_guard();
        let (mut standing, mut moved) = (Standing::default(), Instant::now());
        loop {
            self.service.check()?;
            if shutdown.requested.is_cancelled() && !working.stop.is_cancelled() {
                progress.stopping();
                working.stop.cancel();
            }
            if self.generator.is_none() {
                self.take_back(&mut working)?;
            }
            let settled = self.generator.is_some() && self.is_settled();
            self.journal.read_on(&mut self.evidence).await?;
            let now = self.standing();
            progress.show(now);
            if settled {
                return Ok(Finish::Complete);
            }
            if shutdown.immediate.is_cancelled() {
                return Ok(Finish::CutShort);
            }
            if standing != now {
                (standing, moved) = (now, Instant::now());
            } else if moved.elapsed() > PATIENCE {
                return Ok(Finish::Stalled);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = shutdown.immediate.cancelled() => {}
            }
        }
    }

    /// Takes the generator back once it has finished.
    fn take_back(&mut self, working: &mut Working) -> Result<(), DemoError> {
        match working.done.try_recv() {
            Ok((generator, result)) => {
                self.generator = Some(generator);
                Ok(result?)
            }
            Err(oneshot::error::TryRecvError::Empty) => Ok(()),
            Err(oneshot::error::TryRecvError::Closed) => Err(DemoError::GeneratorGone),
        }
    }

    /// Whether the group has committed everything, and all dead letters up to then were read.
    fn is_settled(&self) -> bool {
        let produced = lock(&self.manifest).entries().len();
        let seen = lock(&self.seen);
        seen.letters_complete && usize::try_from(seen.settled()).is_ok_and(|n| n == produced)
    }

    fn standing(&self) -> Standing {
        let manifest = lock(&self.manifest);
        let seen = lock(&self.seen);
        Standing {
            produced: count(manifest.entries().len()),
            settled: seen.settled(),
            delivered: count(self.evidence.counted.len()),
            dead_lettered: count(seen.letters.len()),
        }
    }

    /// Reads what is new and passes a verdict.
    pub(super) async fn verdict(&mut self) -> Result<Verdict, DemoError> {
        self.journal.read_on(&mut self.evidence).await?;
        self.evidence.letters.clone_from(&lock(&self.seen).letters);
        Ok(Verdict::of(&lock(&self.manifest), &self.evidence))
    }

    /// Stops the service, and passes the verdict on everything.
    pub(super) async fn strike(
        mut self,
        shutdown: &Shutdown,
    ) -> Result<(Verdict, Stopped), DemoError> {
        let stopped = self.service.stop(shutdown).await?;
        Ok((self.verdict().await?, stopped))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
