//! A real Prometheus on loopback, with short intervals, and `promtool` beside it. Both come from Debian's
//! package `prometheus`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::kafka::PortLease;
use super::wait::eventually;

const MISSING: &str = "is not installed. It comes with Debian's package `prometheus`: apt-get install \
                       --no-install-recommends prometheus (its service need not run).";

/// A running Prometheus. Killed on drop when it is ours.
#[derive(Debug)]
pub(crate) struct Prometheus {
    base: Url,
    http: reqwest::Client,
    _ours: Option<(tokio::process::Child, PortLease, TempDir)>,
}

/// What is scraped: the instance's name and its admin port.
pub(crate) type Instance<'i> = (&'i str, u16);

/// Runs `promtool` and gives what it said.
///
/// # Panics
/// When it is missing or refuses, with its words.
pub(crate) fn promtool(arguments: &[&str], directory: &Path) -> String {
    let output = Command::new("promtool").args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("promtool {MISSING} ({error})"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
    said
}

// === impl Prometheus ===

impl Prometheus {
    /// Scrapes the instances as job `ldsink` twice a second, and evaluates the rules as often.
    pub(crate) async fn start(rules: &str, instances: &[Instance<'_>]) -> Self {
        let directory = TempDir::new().unwrap();
        let port = PortLease::take();
        std::fs::write(directory.path().join("rules.yml"), rules).unwrap();
        let scraped = instances.iter().map(|(name, port)| {
            format!("{{ targets: [\"127.0.0.1:{port}\"], labels: {{ instance: {name} }} }}")
        });
        let targets = scraped.collect::<Vec<_>>().join(", ");
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: [rules.yml]\nscrape_configs:\n  - job_name: ldsink\n    static_configs: [{targets}]\n"
        );
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        promtool(&["check", "config", "prometheus.yml"], directory.path());
        let process = tokio::process::Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", port.port))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus {MISSING} ({error})"));
        let base = Url::parse(&format!("http://127.0.0.1:{}", port.port)).unwrap();
        let http = reqwest::Client::new();
        let started = Self { base, http, _ours: Some((process, port, directory)) };
        eventually(Duration::from_secs(30), "Prometheus to be ready", async || {
            let ready = started.base.join("/-/ready").unwrap();
            let answer = started.http.get(ready).send().await.map_err(|error| error.to_string())?;
            if answer.status() == 200 { Ok(()) } else { Err(answer.status().to_string()) }
        })
        .await;
        started
    }

    /// Takes one that somebody else has started.
    pub(crate) fn existing(base: &str) -> Self {
        Self { base: Url::parse(base).unwrap(), http: reqwest::Client::new(), _ours: None }
    }

    /// The samples of an expression now, each with its labels. NaN is none.
    pub(crate) async fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let mut url = self.base.join("/api/v1/query").unwrap();
        url.query_pairs_mut().append_pair("query", expression);
        let result = self.get(url).await["result"].take();
        let Value::Array(samples) = result else { panic!("{expression}: {result}") };
        let samples = samples.into_iter().map(|mut sample| {
            let value = sample["value"][1].as_str().expect("a vector").parse().unwrap();
            (sample["metric"].take(), value)
        });
        samples.filter(|(_, value): &(_, f64)| !value.is_nan()).collect()
    }

    /// The labels of the alerts that fire now.
    pub(crate) async fn firing(&self) -> Vec<Value> {
        let mut alerts = self.get(self.base.join("/api/v1/alerts").unwrap()).await["alerts"].take();
        let alerts = alerts.as_array_mut().expect("a list").iter_mut();
        alerts
            .filter(|alert| alert["state"] == "firing")
            .map(|alert| alert["labels"].take())
            .collect()
    }

    /// Whether all rules can be evaluated; why not, otherwise.
    pub(crate) async fn broken_rules(&self) -> Vec<String> {
        let rules = self.rules().await.into_iter();
        rules
            .filter(|rule| rule["health"] == "err")
            .map(|rule| format!("{}: {}", rule["name"], rule["lastError"]))
            .collect()
    }

    /// All rules of all groups, as it has read them.
    pub(crate) async fn rules(&self) -> Vec<Value> {
        let data = self.get(self.base.join("/api/v1/rules").unwrap()).await;
        let groups = data["groups"].as_array().expect("groups").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
    }

    async fn get(&self, url: Url) -> Value {
        let answer = self.http.get(url.clone()).send().await.unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{url}: {answer}");
        answer["data"].take()
    }
}
