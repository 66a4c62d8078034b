//! No broker and no data stays behind, however its test ends (K1).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::kafka::{KafkaCluster, environment};
use crate::support::wait::eventually;

/// A SIGKILL of a process with a heap of half a gigabyte, on a busy machine.
const GONE: Duration = Duration::from_secs(10);

/// Set for the process that the test starts in order to kill it.
const VICTIM: &str = "LDSINK_TEST_HARNESS_VICTIM";

/// What the victim writes before the line's two facts: the broker's process id and its directory.
const HOLDING: &str = "holding broker ";

fn is_running(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[tokio::test]
async fn a_dropped_cluster_leaves_nothing() {
    let kafka = KafkaCluster::start(1).await;
    let [pid] = kafka.pids()[..] else { panic!("one broker has one process id") };
    let data = kafka.data_directory(0).to_path_buf();
    assert!(is_running(pid) && data.exists());

    drop(kafka);

    assert!(!is_running(pid), "broker {pid} outlived its cluster");
    assert!(!data.parent().expect("below the cluster's directory").exists());
}

#[tokio::test]
async fn a_killed_test_process_leaves_nothing() {
    const NAME: &str = "lifetime::a_killed_test_process_leaves_nothing";
    if environment(VICTIM).is_some() {
        return hold_a_broker().await;
    }
    let mut victim = Command::new(std::env::current_exe().expect("this test has a path"))
        .args(["--exact", NAME, "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test runs twice");
    let output = BufReader::new(victim.stdout.take().expect("it is piped"));
    let (pid, data) = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| parse_holding(&line))
        .expect("the victim started a broker");
    assert!(is_running(pid) && data.exists());

    // SIGKILL: no destructor of the victim runs.
    victim.kill().expect("it is our child");
    victim.wait().expect("it is our child");

    eventually(GONE, "the orphaned broker to be killed", async || !is_running(pid)).await;
    eventually(GONE, "the orphaned data to be removed", async || {
        !data.parent().is_some_and(Path::exists)
    })
    .await;
}

async fn hold_a_broker() {
    let kafka = KafkaCluster::start(1).await;
    let [pid] = kafka.pids()[..] else { panic!("one broker has one process id") };
    // On a line of its own: the test runner has not ended its own line yet.
    println!("\n{HOLDING}{pid} {}", kafka.data_directory(0).display());
    // Longer than the killer needs, and not for ever if it dies first.
    tokio::time::sleep(Duration::from_secs(120)).await;
}

fn parse_holding(line: &str) -> Option<(u32, PathBuf)> {
    let (pid, data) = line.strip_prefix(HOLDING)?.split_once(' ')?;
    Some((pid.parse().ok()?, PathBuf::from(data)))
}
