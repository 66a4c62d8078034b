//! One broker process: its ports, its settings, its life and its certain end.
//!
//! The broker runs below `broker.sh`, as `supervised` tells; the script also removes the broker's data.
//!
//! A stopped broker keeps its ports and its data until the cluster goes.
//!
//! Not here: when a cluster counts as ready (`super`), what clients do with it (`client`).

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::install::{Installation, kafka_home};
use crate::support::maven::tail;
use crate::support::supervised::{Signal, Supervised};
use crate::support::wait::eventually;

const SUPERVISOR: &str = include_str!("broker.sh");

/// Below every common range of ephemeral ports (Linux starts at 32768). Within that range a client
/// that reconnects to a stopped broker could be given the very port it calls as its own source,
/// connect to itself, and keep the broker from coming back.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A controlled shutdown moves leaderships first; a busy machine of two cores needs a few seconds.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// Where a broker stands among the others, and what they share.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub(super) cluster_id: String,
    pub(super) seats: Vec<(u16, u16)>,
    /// A second listener, for clients behind a proxy: its port, and the one they are told.
    pub(super) gate: Option<(u16, u16)>,
}

#[derive(Debug)]
pub(super) struct Broker {
    node_id: usize,
    directory: PathBuf,
    log: PathBuf,
    cluster_id: String,
    installation: Installation,
    process: Mutex<Option<Supervised>>,
}

/// A port that is ours, also while no broker listens on it.
#[derive(Debug)]
pub(crate) struct PortLease {
    pub(crate) port: u16,
    _lock: File,
}

// === impl Broker ===

impl Broker {
    /// Lays out the directory of broker `index` below `cluster` and starts the broker.
    pub(super) fn start(
        index: usize,
        cluster: &Path,
        membership: &Membership,
        installation: &Installation,
    ) -> Self {
        let node_id = index + 1;
        let directory = cluster.join(format!("broker-{node_id}"));
        fs::create_dir_all(&directory).expect("the build directory is writable");
        fs::write(directory.join("server.properties"), properties(node_id, &directory, membership))
            .expect("the build directory is writable");
        let broker = Self {
            node_id,
            log: log_file(cluster, node_id),
            directory,
            cluster_id: membership.cluster_id.clone(),
            installation: installation.clone(),
            process: Mutex::new(None),
        };
        broker.launch();
        broker
    }

    /// Starts the process; the data and the ports are those of the last time.
    pub(super) fn launch(&self) {
        let mut command = Command::new("sh");
        command
            .args(["-c", SUPERVISOR, "broker.sh"])
            .arg(&self.directory)
            .arg(self.installation.classpath())
            .arg(&self.cluster_id);
        let earlier = self.lock().replace(Supervised::start(&mut command, &self.log));
        assert!(earlier.is_none(), "broker {} runs already", self.node_id);
    }

    /// Sends a signal and returns at once.
    pub(super) fn signal(&self, signal: Signal) {
        self.lock()
            .as_mut()
            .unwrap_or_else(|| panic!("{} is not running", self.node_id))
            .order(signal);
    }

    /// Ends the process by `signal` and returns when it is gone.
    pub(super) async fn end(&self, signal: Signal) {
        let process = self.lock().take();
        let mut process = process.unwrap_or_else(|| panic!("{} is not running", self.node_id));
        process.order(signal);
        // A panic in here drops the process, which kills it.
        let what = format!("broker {} to end by SIG{}", self.node_id, signal.name());
        eventually(STOP_DEADLINE, &what, async || match process.ended() {
            Some(_status) => Ok(()),
            None => Err(format!("it runs; {}", self.log_tail())),
        })
        .await;
    }

    pub(super) fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    /// Returns how the process ended, if it did so without being asked.
    pub(super) fn exited(&self) -> Option<ExitStatus> {
        self.lock().as_mut()?.ended()
    }

    /// Returns the id of the Java process, once the supervisor has written it.
    pub(super) fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.directory.join("pid")).ok()?.trim().parse().ok()
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns where the log lies and how it ends.
    pub(super) fn log_tail(&self) -> String {
        format!("the end of {}:\n{}", self.log.display(), tail(&self.log))
    }

    /// The slot is whole after every statement, so another test's panic spoils nothing.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Supervised>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl PortLease ===

impl PortLease {
    /// Takes a loopback port that nobody listens on and no other test has taken.
    pub(crate) fn take() -> Self {
        let leases = kafka_home().join("ports");
        fs::create_dir_all(&leases).expect("the build directory is writable");
        loop {
            let port = rand::random_range(PORTS);
            let lock = File::create(leases.join(port.to_string()))
                .expect("the build directory is writable");
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Self { port, _lock: lock };
            }
        }
    }
}

/// Returns the log file of a broker, outside its data so that it outlives the cluster, and removes the
/// oldest logs beyond a number that a failed run of all tests still fits into.
fn log_file(cluster: &Path, node_id: usize) -> PathBuf {
    const KEPT: usize = 60;
    let logs = kafka_home().join("logs");
    fs::create_dir_all(&logs).expect("the build directory is writable");
    let mut present: Vec<_> = fs::read_dir(&logs)
        .expect("the directory was just made")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            // Gone meanwhile means pruned by another test process.
            Some((path.metadata().ok()?.modified().ok()?, path))
        })
        .collect();
    present.sort_unstable();
    for (_, old) in present.iter().rev().skip(KEPT) {
        if let Err(error) = fs::remove_file(old) {
            eprintln!("cannot remove the old log {}: {error}", old.display());
        }
    }
    let cluster = cluster.file_name().expect("a cluster's directory has a name").display();
    logs.join(format!("{cluster}-broker-{node_id}.log"))
}

/// Returns the broker's settings: those of a production cluster in kind, small and quick in size.
fn properties(node_id: usize, directory: &Path, membership: &Membership) -> String {
    let (port, controller_port) = membership.seats[node_id - 1];
    let brokers = membership.seats.len();
    let voters: Vec<_> = membership
        .seats
        .iter()
        .enumerate()
        .map(|(index, (_, controller))| format!("{}@127.0.0.1:{controller}", index + 1))
        .collect();
    let listener = |port: u16| format!(",GATE://127.0.0.1:{port}");
    // What is acknowledged by all survives the death of any one broker.
    let in_sync = brokers.min(2);
    format!(
        "\
process.roles=broker,controller
node.id={node_id}
controller.quorum.voters={voters}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{gate}
advertised.listeners=BROKER://127.0.0.1:{port}{advertised}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,GATE:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
{SETTINGS}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={brokers}
transaction.state.log.replication.factor={brokers}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={brokers}
share.coordinator.state.topic.min.isr={in_sync}
",
        voters = voters.join(","),
        gate = membership.gate.map_or(String::new(), |(port, _)| listener(port)),
        advertised = membership.gate.map_or(String::new(), |(_, told)| listener(told)),
        data = directory.join("data").display(),
    )
}

/// The settings all brokers have in common.
const SETTINGS: &str = "\
# A topic that a test forgot to create must be an error, as in production.
auto.create.topics.enable=false
# One group or transaction has one coordinator; more partitions only cost start time.
offsets.topic.num.partitions=3
transaction.state.log.num.partitions=3
share.coordinator.state.topic.num.partitions=1
# Rebalances begin at once.
group.initial.rebalance.delay.ms=0
group.consumer.assignment.interval.ms=0
# Tests may ask for short sessions; members of KIP-848 groups get them from here.
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=500
# A killed broker is noticed, and its partitions move, after this long.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
# Records keep whatever age a test gives them.
log.retention.ms=-1
log.message.timestamp.after.max.ms=9223372036854775807
log.segment.delete.delay.ms=1000
# The default takes 128 MiB of heap.
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
background.threads=2";
