//! The service as its user runs it: the built binary, a configuration file, signals, its log and its
//! admin address.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::wait::eventually;

/// A running `ldsink run`. Killed on drop.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    log: watch::Receiver<Vec<String>>,
    directory: TempDir,
}

/// How a process ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

/// A configuration for one route over one topic: Debezium orders of `{id, user_id, total, at}`.
pub(crate) fn orders_config(bootstrap: &str, topic: &str, group: &str, events_url: &str) -> String {
    format!(
        r#"
kafka:
  bootstrap_servers: {bootstrap}
  group_id: {group}
  startup_timeout: 20s
targets:
  production:
    access_token: ${{LDSINK_TEST_TOKEN:-api-sandbox}}
    project: storefront
    environment: production
    events_url: {events_url}
    api_url: {events_url}
routes:
  - name: checkout
    topics: [{topic}]
    format: debezium
    when: op != "delete"
    metric_event:
      target: production
      key: checkout-total
      context: {{ user: $.row.user_id }}
      value: $.row.total
      time: $.row.at
      data: {{ id: $.row.id }}
batch: {{ max_events: 500, linger: 100ms }}
delivery: {{ retry_initial: 50ms, retry_max: 500ms, probe_interval: 1s, request_timeout: 5s }}
dead_letter: {{ topic: {topic}.dead }}
commit_interval: 200ms
# Faults are for the requests that the tests are about, and metrics are not what they look at.
checks: {{ enabled: false }}
drain_deadline: 15s
admin: {{ listen: "127.0.0.1:0" }}
log: {{ level: "info,ldsink=debug", format: json }}
"#
    )
}

/// A configuration with properties for librdkafka, as in `heartbeat.interval.ms: 500`.
pub(crate) fn with_properties(config: &str, properties: &str) -> String {
    let line = "  startup_timeout: 20s\n";
    assert!(config.contains(line), "no place for properties in:\n{config}");
    config.replace(line, &format!("{line}  properties: {{ {properties} }}\n"))
}

/// The same, with checks: the route's policy, and how soon a seeming mistake is looked at again.
pub(crate) fn with_checks(config: &str, policy: &str) -> String {
    let off = "checks: { enabled: false }";
    assert!(config.contains(off), "no place for checks in:\n{config}");
    let config = config.replace(off, "checks: { interval: 10s, reread: 1s }");
    config
        .replace("    format: debezium\n", &format!("    format: debezium\n    checks: {policy}\n"))
}

/// One order as Debezium writes it. `id` is the identity the oracle looks for.
pub(crate) fn order(op: &str, id: &str, total: &str) -> String {
    let row = format!(
        r#"{{"id":"{id}","user_id":"u-{id}","total":{total},"at":1767225600250000,"note":"a row with \"quotes\""}}"#
    );
    let (before, after) = if op == "d" { (row.as_str(), "null") } else { ("null", row.as_str()) };
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"version":"3.4.0","connector":"postgresql","db":"shop","table":"orders","lsn":24023128}},"op":"{op}","ts_ms":1767225600300,"transaction":null}}"#
    )
}

impl Service {
    /// Starts the service and reads its log; does not wait for anything.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    pub(crate) fn start_with(config: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_beside(config, environment, &[])
    }

    /// With files beside the configuration, by name.
    pub(crate) fn start_beside(
        config: &str,
        environment: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Self {
        let directory = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let file: PathBuf = directory.path().join("ldsink.yaml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ldsink"))
            .args(["run", "--config"])
            .arg(&file)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = follow(child.stderr.take().unwrap());
        Self { child, log, directory }
    }

    /// Writes a file beside the configuration.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    /// Puts another configuration in the place of the one it was started with.
    pub(crate) fn rewrite(&self, config: &str) {
        self.write("ldsink.yaml", config);
    }

    /// Asks it by signal to read the configuration again.
    pub(crate) async fn hang_up(&self) {
        self.signal("-HUP").await;
    }

    pub(crate) fn log(&self) -> String {
        self.log.borrow().join("\n")
    }

    /// Waits until a line of the log contains all of these.
    pub(crate) async fn says(&self, within: Duration, wanted: &[&str]) -> String {
        eventually(within, &format!("a log line with {wanted:?}"), async || {
            let log = self.log.borrow();
            let line = log.iter().find(|line| wanted.iter().all(|part| line.contains(part)));
            line.cloned().ok_or_else(|| format!("the log so far:\n{}", log.join("\n")))
        })
        .await
    }

    /// How many lines of the log contain this.
    pub(crate) fn lines_with(&self, wanted: &str) -> usize {
        self.log.borrow().iter().filter(|line| line.contains(wanted)).count()
    }

    /// The admin address, from the log.
    pub(crate) async fn admin(&self) -> String {
        let line = self.says(Duration::from_secs(20), &["ldsink starts"]).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        format!("http://{}", line["admin"].as_str().unwrap())
    }

    /// Status and body of an admin endpoint.
    pub(crate) async fn ask(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.admin().await)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Status and body of a request that changes something.
    pub(crate) async fn tell(
        &self,
        method: reqwest::Method,
        path: &str,
        (token, body): (Option<&str>, &str),
    ) -> (u16, String) {
        let url = format!("{}{path}", self.admin().await);
        let request = reqwest::Client::new().request(method, url).body(body.to_owned());
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Asks it to read the configuration again, and gives what it says.
    pub(crate) async fn reload(&self) -> (u16, String) {
        self.tell(reqwest::Method::POST, "/reload", (None, "")).await
    }

    /// The sum of a metric over the series whose labels contain all of these.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.ask("/metrics").await;
        text.lines()
            .filter(|line| {
                let series = line.split([' ', '{']).next() == Some(name);
                series && labels.iter().all(|label| line.contains(label))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends SIGTERM without waiting.
    pub(crate) async fn terminate(&self) {
        self.signal("-TERM").await;
    }

    /// Stops it in its tracks, as a machine that is suspended or out of memory does.
    pub(crate) async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    /// Lets it go on as if nothing had happened.
    pub(crate) async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it is running").to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(mut self, within: Duration) -> Ended {
        let Ok(status) = tokio::time::timeout(within, self.child.wait()).await else {
            panic!("still running after {within:?}; its log:\n{}", self.log());
        };
        // The reader ends with the pipe; after that the log is complete.
        while self.log.changed().await.is_ok() {}
        Ended { status: status.unwrap(), log: self.log() }
    }

    /// Asks for a clean stop and waits for it.
    pub(crate) async fn stop(self) -> Ended {
        self.terminate().await;
        self.ended(Duration::from_secs(40)).await
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

impl Drop for Service {
    /// A test that fails shows what its services said; batches and records would bury it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.borrow();
            let said: Vec<_> = log.iter().filter(|line| !line.contains("\"DEBUG\"")).collect();
            eprintln!("a service of the failed test said, below debug: {said:#?}");
        }
    }
}

fn follow(pipe: impl AsyncRead + Unpin + Send + 'static) -> watch::Receiver<Vec<String>> {
    let (tell, log) = watch::channel(Vec::new());
    let mut lines = BufReader::new(pipe).lines();
    let reading = async move {
        while let Ok(Some(line)) = lines.next_line().await {
            tell.send_modify(|log| log.push(line));
        }
    };
    #[expect(clippy::disallowed_methods, reason = "ends with the pipe, that is with the process")]
    tokio::spawn(reading);
    log
}
