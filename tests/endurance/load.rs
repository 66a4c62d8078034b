//! Records that keep coming, and what a naive program makes of them: which events must count, who is
//! in which segment, how each metric is defined.
//!
//! Each order is one change of a shopper's row. It is identified by partition and sequence number,
//! and owes up to three things: an event for one target, perhaps an event for another, and the
//! shopper's place in the segments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::support::kafka::{KafkaCluster, NewRecord};

pub(crate) const PARTITIONS: i32 = 6;
pub(crate) const PLANS: usize = 3;
pub(crate) const METRICS: usize = 4;
const SHOPPERS: usize = 240;
/// Orders from this total on are events for the second target as well.
pub(crate) const LARGE: i64 = 5;
/// Short enough that a consumer sees a stream and not waves.
const STEP: Duration = Duration::from_millis(50);
const STEPS_PER_SECOND: usize = 20;

/// A stream of records over two topics. Ends on drop.
#[derive(Debug)]
pub(crate) struct Load {
    stop: CancellationToken,
    task: JoinSet<Model>,
    produced: Arc<AtomicU64>,
}

/// What must have become of the records.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Identities whose event must count for the first target.
    pub(crate) orders: BTreeSet<String>,
    /// The same for the second.
    pub(crate) large_orders: BTreeSet<String>,
    /// Metric → the number in its newest definition.
    pub(crate) definitions: BTreeMap<usize, usize>,
    shoppers: BTreeMap<usize, Row>,
    /// The next sequence number, by partition.
    next: BTreeMap<i32, u64>,
    defined: usize,
    keeps_identities: bool,
    /// How many events must count, whether or not their identities are kept.
    pub(crate) events: u64,
}

#[derive(Debug, Clone)]
struct Row {
    id: String,
    shopper: usize,
    plan: usize,
    active: bool,
    total: i64,
}

/// Where the records go, how many of them, and how they are drawn.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pub(crate) orders: String,
    pub(crate) metrics: String,
    pub(crate) per_second: usize,
    pub(crate) seed: u64,
    /// Whether the model remembers each identity; a long run cannot.
    pub(crate) keeps_identities: bool,
}

// === impl Load ===

impl Load {
    pub(crate) fn start(kafka: &Arc<KafkaCluster>, pace: Pace) -> Self {
        let (kafka, stop) = (Arc::clone(kafka), CancellationToken::new());
        let produced = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (stop.clone(), Arc::clone(&produced));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut model = Model { keeps_identities: pace.keeps_identities, ..Model::default() };
            let mut dice = StdRng::seed_from_u64(pace.seed);
            let mut steps = interval(STEP);
            while !stopped.is_cancelled() {
                steps.tick().await;
                let orders: Vec<_> = (0..pace.per_second.div_ceil(STEPS_PER_SECOND))
                    .map(|_| model.order(&mut dice))
                    .collect();
                let many = orders.len() as u64;
                kafka.produce(&pace.orders, orders).await;
                kafka.produce(&pace.metrics, model.definition(&mut dice)).await;
                count.fetch_add(many, Ordering::Relaxed);
            }
            model
        });
        Self { stop, task, produced }
    }

    pub(crate) fn produced(&self) -> u64 {
        self.produced.load(Ordering::Relaxed)
    }

    /// Ends the stream and gives the model of all records, each acknowledged by Kafka.
    pub(crate) async fn stop(mut self) -> Model {
        self.stop.cancel();
        self.task.join_next().await.expect("there is one task").expect("it produces or panics")
    }
}

// === impl Model ===

impl Model {
    /// Changes one shopper's row, as Debezium tells it.
    fn order(&mut self, dice: &mut StdRng) -> NewRecord {
        let shopper = dice.random_range(0..SHOPPERS);
        let partition = i32::try_from(shopper).unwrap() % PARTITIONS;
        let next = self.next.entry(partition).or_default();
        let row = Row {
            id: format!("{partition}-{next}"),
            shopper,
            plan: dice.random_range(0..PLANS),
            active: dice.random_bool(0.7),
            total: dice.random_range(0..10),
        };
        *next += 1;
        let before = self.shoppers.get(&shopper).cloned();
        let after = (before.is_none() || dice.random_bool(0.9)).then_some(row);
        let op = match (&before, &after) {
            (None, _) => "c",
            (Some(_), Some(_)) => "u",
            (Some(_), None) => "d",
        };
        let value = json!({
            "op": op,
            "before": before.as_ref().map(Row::json),
            "after": after.as_ref().map(Row::json),
            "source": { "table": "orders" },
        });
        match after {
            Some(row) => {
                self.expect(&row);
                self.shoppers.insert(shopper, row);
            }
            None => drop(self.shoppers.remove(&shopper)),
        }
        NewRecord::to(partition).key(format!("shopper-{shopper}")).value(value.to_string())
    }

    fn expect(&mut self, row: &Row) {
        let large = row.total >= LARGE;
        self.events += 1 + u64::from(large);
        if !self.keeps_identities {
            return;
        }
        self.orders.insert(row.id.clone());
        if large {
            self.large_orders.insert(row.id.clone());
        }
    }

    /// Now and then a metric is defined anew.
    fn definition(&mut self, dice: &mut StdRng) -> Vec<NewRecord> {
        if !dice.random_bool(0.1) {
            return Vec::new();
        }
        let metric = dice.random_range(0..METRICS);
        self.defined += 1;
        self.definitions.insert(metric, self.defined);
        let key = format!("metric-{metric}");
        let row = json!({ "key": key, "name": definition_name(self.defined) });
        vec![NewRecord::to(0).key(key).value(row.to_string())]
    }

    /// Who must be in a plan's segment.
    pub(crate) fn members(&self, plan: usize) -> BTreeSet<String> {
        let rows = self.shoppers.values().filter(|row| row.active && row.plan == plan);
        rows.map(|row| format!("u-{}", row.shopper)).collect()
    }
}

/// The name that a definition gives its metric.
pub(crate) fn definition_name(number: usize) -> String {
    format!("Definition {number}")
}

// === impl Row ===

impl Row {
    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "user_id": format!("u-{}", self.shopper),
            "plan": format!("plan-{}", self.plan),
            "active": self.active,
            "total": self.total,
            "at": 1_767_225_600_250_000_i64,
        })
    }
}
