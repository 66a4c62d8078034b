//! A real Apache Kafka for tests: installed by Maven, started on loopback, gone with the test process.
//!
//! [`KafkaCluster::shared`] is one broker for all tests of a binary, so a test takes names of its own
//! from [`KafkaCluster::unique_topic`] and [`unique_name`]. If `KAFKA_BOOTSTRAP_SERVERS` is set, the
//! shared cluster is the one it names, and nothing is installed or started. A test that stops, kills
//! or suspends brokers calls [`KafkaCluster::start`] and always gets brokers of its own.
//!
//! What it needs: Java 17 and Maven on the PATH, and a network for the first run only. What it leaves
//! in the build directory, under `kafka/`: `<version>/` (the jars), `logs/` (one file per broker, the
//! newest sixty), `ports/` (lock files). Data lies in `run/` while a cluster lives.
//!
//! # Invariants
//! - K1: no broker outlives its test process, however that ends.
//! - K2: a cluster is handed out only when all its brokers are registered, every partition is led and
//!   fully replicated, and a group coordinator answers.
//! - K3: what [`KafkaCluster::produce`] returns from is acknowledged by all in-sync replicas.
//!
//! Panics are the error channel: a harness that cannot do its work fails the test, with the reason.
//!
//! Not here: processes (`broker`), clients (`client`), the installation (`install`).

mod broker;
mod client;
mod install;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use self::broker::{Broker, Membership};
use self::install::{Installation, kafka_home};
use super::proxy::Proxy;
use super::supervised::Signal;
use super::wait::eventually;

pub(crate) use self::broker::PortLease;
pub(crate) use self::client::{Committed, NewRecord, Position, StoredRecord};
pub(crate) use self::install::kafka_version;

/// Three brokers need some ten seconds of CPU to start; this is for a machine that does much else.
const READY_DEADLINE: Duration = Duration::from_secs(90);

/// A running cluster, ours or one we were told to use.
#[derive(Debug)]
pub(crate) struct KafkaCluster {
    bootstrap: String,
    admin: client::Admin,
    producer: client::RecordProducer,
    // Dropped in this order: the processes, then the ground under them.
    brokers: Vec<Broker>,
    ports: Vec<PortLease>,
    _directory: Option<TempDir>,
}

// === impl KafkaCluster ===

impl KafkaCluster {
    /// Returns the cluster that the tests of this binary share, starting it for the first of them.
    ///
    /// It stays until the process ends; a later caller never waits for a second start.
    ///
    /// # Panics
    /// When Kafka cannot be installed or started, with the remedy or the broker's log.
    pub(crate) async fn shared() -> Arc<Self> {
        static SHARED: OnceCell<Arc<KafkaCluster>> = OnceCell::const_new();
        let cluster = SHARED
            .get_or_init(async || match environment("KAFKA_BOOTSTRAP_SERVERS") {
                Some(bootstrap) => Arc::new(Self::existing(bootstrap).await),
                None => Arc::new(Self::start(1).await),
            })
            .await;
        Arc::clone(cluster)
    }

    /// Starts a cluster of its own of `brokers` combined brokers and controllers; see K2.
    ///
    /// It ends with the value. Three is the least that survives the loss of one.
    ///
    /// # Panics
    /// As [`KafkaCluster::shared`].
    pub(crate) async fn start(brokers: usize) -> Self {
        let cluster = blocking(move || Self::launch(brokers, None)).await;
        cluster.ready().await;
        cluster.warm_up().await;
        cluster
    }

    /// Starts a cluster of one broker and a proxy before it, for clients that begin at the proxy's
    /// address. The tests' own clients know the direct way.
    ///
    /// # Panics
    /// As [`KafkaCluster::shared`].
    pub(crate) async fn start_behind_proxy() -> (Self, Proxy) {
        let (inner, outer) = blocking(|| (PortLease::take(), PortLease::take())).await;
        let gate = (inner.port, outer.port);
        let mut cluster = blocking(move || Self::launch(1, Some(gate))).await;
        let proxy = Proxy::start_on(outer.port, ([127, 0, 0, 1], inner.port).into()).await;
        cluster.ports.extend([inner, outer]);
        cluster.ready().await;
        cluster.warm_up().await;
        (cluster, proxy)
    }

    /// Takes a cluster that runs already, for its topics, records and offsets; its brokers are not ours.
    pub(crate) async fn existing(bootstrap: String) -> Self {
        let cluster = Self {
            admin: client::Admin::new(&bootstrap),
            producer: client::RecordProducer::new(&bootstrap),
            bootstrap,
            brokers: Vec::new(),
            ports: Vec::new(),
            _directory: None,
        };
        cluster.ready().await;
        cluster
    }

    fn launch(brokers: usize, gate: Option<(u16, u16)>) -> Self {
        let installation = Installation::ensure().unwrap_or_else(|reason| panic!("{reason}"));
        let run = kafka_home().join("run");
        fs::create_dir_all(&run).expect("the build directory is writable");
        let directory =
            tempfile::Builder::new().prefix("cluster-").tempdir_in(run).expect("same place");

        let (clients, controllers): (Vec<_>, Vec<_>) =
            (0..brokers).map(|_| (PortLease::take(), PortLease::take())).unzip();
        let membership = Membership {
            cluster_id: cluster_id(&directory),
            seats: clients.iter().zip(&controllers).map(|(a, b)| (a.port, b.port)).collect(),
            gate,
        };
        let bootstrap: Vec<_> =
            clients.iter().map(|lease| format!("127.0.0.1:{}", lease.port)).collect();
        let bootstrap = bootstrap.join(",");
        let brokers = (0..brokers)
            .map(|index| Broker::start(index, directory.path(), &membership, &installation))
            .collect();
        Self {
            admin: client::Admin::new(&bootstrap),
            producer: client::RecordProducer::new(&bootstrap),
            bootstrap,
            brokers,
            ports: clients.into_iter().chain(controllers).collect(),
            _directory: Some(directory),
        }
    }

    /// Returns what belongs into `bootstrap.servers`: all brokers, running or not.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Stops broker `index` (from 0) in the orderly way, its leaderships moved first if others remain.
    ///
    /// Returns when its process is gone. Needs a majority of the cluster to stay: without one, use
    /// [`KafkaCluster::kill_broker`].
    pub(crate) async fn stop_broker(&self, index: usize) {
        self.broker(index).end(Signal::Term).await;
    }

    /// Ends broker `index` by SIGKILL. The others take some seconds to notice.
    pub(crate) async fn kill_broker(&self, index: usize) {
        self.broker(index).end(Signal::Kill).await;
    }

    /// Starts broker `index` again, on the same port and data; returns when all running brokers are
    /// ready, see K2.
    pub(crate) async fn restart_broker(&self, index: usize) {
        self.broker(index).launch();
        self.ready().await;
    }

    /// Stops broker `index` in its tracks: connections stay open and nothing answers.
    pub(crate) fn suspend_broker(&self, index: usize) {
        self.broker(index).signal(Signal::Stop);
    }

    /// Lets a suspended broker go on.
    pub(crate) fn resume_broker(&self, index: usize) {
        self.broker(index).signal(Signal::Cont);
    }

    /// Returns the process ids of the running brokers.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.brokers.iter().filter(|broker| broker.is_running()).filter_map(Broker::pid).collect()
    }

    /// Returns where broker `index` keeps its data.
    pub(crate) fn data_directory(&self, index: usize) -> &std::path::Path {
        self.broker(index).directory()
    }

    fn broker(&self, index: usize) -> &Broker {
        self.brokers.get(index).unwrap_or_else(|| {
            panic!(
                "there is no broker {index} of ours among {}; use KafkaCluster::start",
                self.brokers.len()
            )
        })
    }

    /// Waits until the running brokers serve; see K2.
    async fn ready(&self) {
        let what = format!("Kafka {} at {} to be ready", kafka_version(), self.bootstrap);
        eventually(READY_DEADLINE, &what, async || {
            self.assert_alive();
            let running = self.brokers.iter().filter(|broker| broker.is_running()).count();
            let everyone = running == self.brokers.len();
            self.admin.readiness(running, everyone).await.map_err(|reason| self.diagnosis(&reason))
        })
        .await;
    }

    /// Has the offsets topic made, so that no test's deadline pays for it.
    async fn warm_up(&self) {
        let group = unique_name("warm-up");
        eventually(READY_DEADLINE, "a group coordinator", async || {
            self.assert_alive();
            client::coordinator_answers(&self.bootstrap, &group)
                .await
                .map_err(|reason| self.diagnosis(&reason))
        })
        .await;
        self.ready().await;
    }

    /// Fails at once when a broker has ended by itself: no deadline will bring it back.
    fn assert_alive(&self) {
        for broker in &self.brokers {
            if let Some(status) = broker.exited() {
                panic!("a Kafka broker ended by itself ({status}); {}", broker.log_tail());
            }
        }
    }

    fn diagnosis(&self, reason: &str) -> String {
        let logs: Vec<_> = self
            .brokers
            .iter()
            .filter(|broker| broker.is_running())
            .map(Broker::log_tail)
            .collect();
        format!("{reason}\n{}", logs.join("\n"))
    }
}

/// Returns a name no other test has, in this process or another, for a group or a topic.
pub(crate) fn unique_name(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // The random part is for tests that share a broker from KAFKA_BOOTSTRAP_SERVERS between runs.
    format!("{prefix}-{:08x}-{}", rand::random::<u32>(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns an environment variable that has something to say.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' environment is not ldsink's configuration"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Runs what blocks where it may, and lets its panic be the caller's.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Returns an id in Kafka's form (22 characters of base 64, the last with its spare bits clear) that is
/// this cluster's alone, so that clients cannot take a new cluster for an old one.
fn cluster_id(directory: &TempDir) -> String {
    let name: String = directory.path().display().to_string();
    let random: String = name.chars().rev().take(6).collect();
    format!("{:A<22}", format!("ldsinktests{random}"))
}
