//! Who is measured, and how each is told to do the same job: batches of the same size, as many requests
//! at once, progress committed to Kafka.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::arguments::Yardstick;
use crate::measure::{BATCH_EVENTS, LINGER, POSTS};
use crate::process::Process;
use crate::support::kafka::unique_name;
use crate::workload::{Shape, Workload};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Ldsink,
    Floor,
    Raw,
}

/// Where a contender reads and writes.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    pub(crate) workload: &'p Workload,
    pub(crate) bootstrap: &'p str,
    pub(crate) sink: &'p str,
    /// For its configuration and its log.
    pub(crate) directory: &'p Path,
}

impl Contender {
    pub(crate) const ALL: [Self; 3] = [Self::Ldsink, Self::Floor, Self::Raw];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ldsink => "ldsink",
            Self::Floor => "floor",
            Self::Raw => "raw",
        }
    }

    /// What it does for a workload, if that says anything about it.
    pub(crate) fn takes_part(self, workload: &Workload) -> bool {
        match self {
            Self::Ldsink => true,
            Self::Floor => workload.routes == 1,
            Self::Raw => !workload.gzip && workload.routes == 1 && workload.steady.is_none(),
        }
    }

    pub(crate) fn start(self, place: &Place<'_>) -> Process {
        match self {
            Self::Ldsink => ldsink(place),
            Self::Floor => yardstick("as-floor", place),
            Self::Raw => yardstick("as-raw", place),
        }
    }
}

fn yardstick(role: &str, place: &Place<'_>) -> Process {
    let Place { workload, bootstrap, sink, .. } = place;
    let settings = Yardstick {
        bootstrap: (*bootstrap).to_owned(),
        topic: workload.topic(),
        sink: (*sink).to_owned(),
        gzip: workload.gzip,
        debezium: workload.shape != Shape::Plain,
    };
    let Yardstick { bootstrap, topic, sink, gzip, debezium } = settings;
    let words = [role.to_owned(), bootstrap, topic, sink, gzip.to_string(), debezium.to_string()];
    Process::of_ourselves(&words).0
}

fn ldsink(place: &Place<'_>) -> Process {
    let file = place.directory.join("ldsink.yaml");
    fs::write(&file, ldsink_configuration(place)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldsink"));
    command.arg("run").arg("--config").arg(file);
    Process::start(command, &place.directory.join("ldsink.log"))
}

/// Everything that is not said here is at its default: journal, checks, guard, dead letters.
fn ldsink_configuration(place: &Place<'_>) -> String {
    let Place { workload, bootstrap, sink, .. } = place;
    let (topic, group) = (workload.topic(), unique_name("bench"));
    let format = if workload.shape == Shape::Plain { "json" } else { "debezium" };
    let gzip = workload.gzip;
    let linger = LINGER.as_millis();
    let mut text = format!(
        r"kafka: {{ bootstrap_servers: {bootstrap}, group_id: {group} }}
targets:
  bench:
    access_token: api-bench
    project: bench
    environment: bench
    events_url: {sink}
    api_url: {sink}
batch: {{ max_events: {BATCH_EVENTS}, linger: {linger}ms }}
delivery: {{ concurrency: {POSTS}, gzip: {gzip} }}
dead_letter: {{ topic: bench-dead-letters }}
admin: {{ listen: '127.0.0.1:0' }}
log: {{ format: json }}
routes:
"
    );
    for n in 0..workload.routes {
        let reads = if n == 0 { topic.clone() } else { other_topic(n) };
        write!(
            text,
            r"  - name: orders-{n}
    topics: [{reads}]
    format: {format}
    metric_event:
      target: bench
      key: paid
      context: {{ user: $.row.user_id }}
      value: $.row.total
      time: $.row.created_at
      data: {{ id: $.row.id }}
"
        )
        .unwrap();
    }
    text
}

/// The topic of a route that has nothing to do.
pub(crate) fn other_topic(n: usize) -> String {
    format!("bench-other-{n}")
}
