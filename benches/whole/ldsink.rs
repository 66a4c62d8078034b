//! ldsink's configuration in a run. Everything that is not said here is at its default: journal, checks,
//! guard, dead letters, limits.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::contender::Place;
use crate::measure::{BATCH_EVENTS, LINGER, POSTS};
use crate::process::Process;
use crate::record::Shape;
use crate::support::kafka::unique_name;

pub(crate) fn start(place: &Place<'_>) -> Process {
    let file = place.directory.join("ldsink.yaml");
    fs::write(&file, configuration(place)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldsink"));
    command.arg("run").arg("--config").arg(file);
    Process::start(command, &place.log())
}

fn configuration(place: &Place<'_>) -> String {
    let Place { workload, topic, bootstrap, sink, .. } = place;
    let group = unique_name("bench");
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
segments: {{ max_members: {BATCH_EVENTS} }}
delivery: {{ concurrency: {POSTS}, gzip: {gzip} }}
dead_letter: {{ topic: bench-dead-letters }}
admin: {{ listen: '127.0.0.1:0' }}
log: {{ format: json }}
routes:
"
    );
    for n in 0..workload.routes {
        let reads = if n == 0 { (*topic).to_owned() } else { other_topic(n) };
        let format = match workload.shape {
            Shape::Plain | Shape::Members => "json",
            Shape::Debezium | Shape::DebeziumWithSchema => "debezium",
            Shape::Maxwell => "maxwell",
        };
        let operation = if workload.shape == Shape::Members { MEMBER } else { EVENT };
        write!(
            text,
            "  - name: route-{n}\n    topics: [{reads}]\n    format: {format}\n{operation}"
        )
        .unwrap();
    }
    text
}

const EVENT: &str = r"    metric_event:
      target: bench
      key: paid
      context: { user: $.row.user_id }
      value: $.row.total
      time: $.row.created_at
      data: { id: $.row.id }
";

const MEMBER: &str = r"    segment_member:
      target: bench
      segment: $.row.segment
      kind: big
      context_key: $.row.id
      member: row.active
";

/// The topic of a route that has nothing to do.
pub(crate) fn other_topic(n: usize) -> String {
    format!("bench-other-{n}")
}
