//! What the scenes share: Kafka, Prometheus with the shortened rules, and the alerts seen so far.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::PATIENCE;
use crate::files::text;
use crate::rules::{RULES, rules};
use crate::support::kafka::{KafkaCluster, PortLease, unique_name};
use crate::support::prometheus::Prometheus;
use crate::support::service::{orders_config, with_properties};
use crate::support::wait::eventually;

/// The instances, by the names they have in alerts.
pub(super) const WHOLE: &str = "whole";
pub(super) const REQUESTS: &str = "requests";
pub(super) const THROTTLED: &str = "throttled";
pub(super) const LETTERS: &str = "letters";
pub(super) const STAYS: &str = "stays";
pub(super) const CRASHES: &str = "crashes";
pub(super) const FILTERS: &str = "filters";
const INSTANCES: [&str; 7] = [WHOLE, REQUESTS, THROTTLED, LETTERS, STAYS, CRASHES, FILTERS];

/// Times and bounds that nobody wants to wait for or to fill up, and what takes their place.
const SHORTER: [(&str, &str); 14] = [
    ("[5m]", "[5s]"),
    ("[10m]", "[5s]"),
    ("[15m]", "[5s]"),
    ("[10m:]", "[5s:500ms]"),
    ("for: 1m\n", "for: 1s\n"),
    ("for: 2m\n", "for: 1s\n"),
    ("for: 5m\n", "for: 1s\n"),
    ("for: 10m\n", "for: 1s\n"),
    ("for: 15m\n", "for: 1s\n"),
    ("timestamp_seconds > 0) > 300", "timestamp_seconds > 0) > 3"),
    ("consumer_lag_seconds) > 60", "consumer_lag_seconds) > 1"),
    ("- time() > 300", "- time() > 2"),
    ("> 10000", "> 500"),
    ("> 1000\n", "> 100\n"),
];

pub(super) struct Stand {
    pub(super) kafka: Arc<KafkaCluster>,
    pub(super) prometheus: Prometheus,
    ports: Vec<(&'static str, PortLease)>,
    /// The topic of each instance.
    topics: Vec<(&'static str, String)>,
    fired: Mutex<BTreeSet<String>>,
}

/// The names of all alerts.
pub(super) fn alerts() -> BTreeSet<String> {
    rules().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
}

fn shortened() -> String {
    let mut rules = text(RULES);
    for (long, short) in SHORTER {
        assert!(rules.contains(long), "no rule has {long:?} any more");
        rules = rules.replace(long, short);
    }
    for unit in ["m]", "m:]"] {
        assert!(!rules.contains(unit), "a range is still in minutes:\n{rules}");
    }
    rules
}

impl Stand {
    pub(super) async fn start() -> Self {
        let ports: Vec<_> = INSTANCES.map(|name| (name, PortLease::take())).into();
        let scraped: Vec<_> = ports.iter().map(|(name, lease)| (*name, lease.port)).collect();
        let prometheus = Prometheus::start(&shortened(), &scraped).await;
        let kafka = KafkaCluster::shared().await;
        let mut topics = Vec::new();
        for name in INSTANCES {
            topics.push((name, kafka.unique_topic(name, 2).await));
        }
        Self { kafka, prometheus, ports, topics, fired: Mutex::default() }
    }

    pub(super) fn topic(&self, instance: &str) -> &str {
        let topic = self.topics.iter().find(|(name, _)| *name == instance);
        &topic.expect("an instance").1
    }

    /// Orders of the instance's topic, at its port, with the statistics of Kafka's client twice a second.
    pub(super) fn config(&self, instance: &str, launchdarkly: &str) -> String {
        self.member(instance, instance, &unique_name("group"), launchdarkly)
    }

    /// The same for a member of a group, which reads another one's topic.
    pub(super) fn member(
        &self,
        instance: &str,
        of: &str,
        group: &str,
        launchdarkly: &str,
    ) -> String {
        let (_, lease) = self.ports.iter().find(|(name, _)| *name == instance).unwrap();
        let config = orders_config(self.kafka.bootstrap(), self.topic(of), group, launchdarkly);
        let config = config.replace("127.0.0.1:0", &format!("127.0.0.1:{}", lease.port));
        with_properties(&config, "statistics.interval.ms: 500, heartbeat.interval.ms: 500")
    }

    /// Waits until an alert fires that has these labels.
    pub(super) async fn fires(&self, alert: &str, labels: &[(&str, &str)]) {
        eventually(PATIENCE, &format!("{alert} {labels:?} to fire"), async || {
            let firing = self.prometheus.firing().await;
            if firing.iter().any(|it| is_it(it, alert, labels)) {
                Ok(())
            } else {
                Err(told(&firing))
            }
        })
        .await;
        self.fired.lock().unwrap().insert(alert.to_owned());
    }

    /// Waits until none fires any more.
    pub(super) async fn clears(&self, alert: &str, labels: &[(&str, &str)]) {
        eventually(PATIENCE, &format!("{alert} {labels:?} to clear"), async || {
            let firing = self.prometheus.firing().await;
            if firing.iter().any(|it| is_it(it, alert, labels)) {
                Err(told(&firing))
            } else {
                Ok(())
            }
        })
        .await;
    }

    /// That nothing is wrong with an instance, once it flows.
    pub(super) async fn is_quiet(&self, instance: &str) {
        // Not by a rate: what was delivered before the first scrape is no growth.
        let flows =
            format!("ldsink_records_total{{instance=\"{instance}\", outcome=\"delivered\"}} > 0");
        eventually(PATIENCE, &format!("{instance} to flow"), async || {
            !self.prometheus.query(&flows).await.is_empty()
        })
        .await;
        eventually(PATIENCE, &format!("no alert for {instance}"), async || {
            let firing = self.prometheus.firing().await;
            let its = firing.iter().filter(|labels| labels["instance"] == instance);
            let its: Vec<_> = its.cloned().collect();
            if its.is_empty() { Ok(()) } else { Err(told(&its)) }
        })
        .await;
    }

    /// The alerts that have fired.
    pub(super) fn fired(&self) -> BTreeSet<String> {
        self.fired.lock().unwrap().clone()
    }
}

fn is_it(alert: &Value, name: &str, labels: &[(&str, &str)]) -> bool {
    alert["alertname"] == name && labels.iter().all(|(label, value)| alert[*label] == *value)
}

fn told(firing: &[Value]) -> String {
    let firing: Vec<_> = firing.iter().map(ToString::to_string).collect();
    format!("firing: {}", firing.join("\n"))
}
