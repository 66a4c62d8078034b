//! Runs workloads through contenders, in turn, and takes the figures.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::producer::Producer as _;
use rdkafka::util::Timeout;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, interval};

use crate::arguments::Bench;
use crate::contender::{Contender, Place};
use crate::ldsink::other_topic;
use crate::process::{Process, now_ms};
use crate::report::Report;
use crate::sink::SinkSettings;
use crate::support::kafka::{KafkaCluster, unique_name};
use crate::support::maven::tail;
use crate::table::Table;
use crate::workload::{Workload, send};

/// What every contender that makes batches is told.
pub(crate) const BATCH_EVENTS: usize = 1_000;
pub(crate) const LINGER: Duration = Duration::from_millis(100);
pub(crate) const POSTS: usize = 8;

/// How often the sink is asked how far it is; an error of as much in a run of seconds.
const STEP: Duration = Duration::from_millis(20);
/// Without any progress for so long, a contender has failed. A Java process on a busy machine takes its
/// time to begin.
const PATIENCE: Duration = Duration::from_secs(120);

/// One run of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Of the contender's own process, per record, without warm-up.
    pub(crate) cpu_ns: f64,
    /// Records per second by the clock.
    pub(crate) per_second: f64,
    pub(crate) peak_rss_mb: f64,
    /// The median of the memory soon after the warm-up, and of that near the end, unless it went by too
    /// fast to see.
    pub(crate) rss_mb: Option<[f64; 2]>,
    pub(crate) requests: u64,
    /// Records that arrived more than once.
    pub(crate) repeated: u64,
    /// Median, 90 %, 99 % and most, in milliseconds from produced to accepted.
    pub(crate) latency_ms: Option<[u64; 4]>,
}

/// What is seen of a process on the way: how many records have arrived, and its memory in bytes.
type Samples = Vec<(usize, u64)>;

/// Runs, prints and keeps everything. Gives whether ldsink delivered all that it was given.
pub(crate) async fn run(bench: &Bench) -> bool {
    let build = |contender: &Contender| (*contender, contender.prepare());
    let contenders: Vec<_> = bench.contenders.iter().map(build).collect();
    let kafka = KafkaCluster::start(1).await;
    let mut tables = prepare(bench, &kafka).await;
    for run in 0..bench.runs {
        for table in &mut tables {
            for (contender, built) in &contenders {
                if !contender.takes_part(&table.workload) {
                    continue;
                }
                let figures = match built {
                    Ok(()) => measure(&kafka, &table.workload, *contender).await,
                    Err(missing) => Err(missing.clone()),
                };
                println!("{} {run} {}: {figures:?}", table.workload.name, contender.name());
                table.add(*contender, figures);
            }
        }
    }
    let report = Report::new(bench, tables);
    println!("\n{report}");
    if bench.keep {
        report.append();
    }
    report.is_sound()
}

/// Writes the topics. Workloads that read the same records share one.
async fn prepare(bench: &Bench, kafka: &KafkaCluster) -> Vec<Table> {
    let mut written = HashSet::new();
    let mut tables = Vec::new();
    for workload in &bench.workloads {
        let workload = workload.clone().scaled(bench.scale);
        if workload.steady.is_none() && written.insert(workload.topic()) {
            workload.prepare(kafka).await;
        }
        for n in 1..workload.routes {
            kafka.create_topic(&other_topic(n), 1, 1).await;
        }
        tables.push(Table::new(workload));
    }
    tables
}

async fn measure(
    kafka: &KafkaCluster,
    workload: &Workload,
    contender: Contender,
) -> Result<Figures, String> {
    let directory = TempDir::new().unwrap();
    let late_from = workload.steady.map(|_| workload.warm_up());
    let settings =
        SinkSettings { records: workload.total(), delay_ms: workload.delay_ms, late_from };
    let (sink, address) = Process::of_ourselves(&settings.words());
    // A steady load is made while it is measured, so each run has a topic of its own.
    let topic = match workload.steady {
        Some(_) => unique_name(&workload.topic()),
        None => workload.topic(),
    };
    if workload.steady.is_some() {
        kafka.create_topic(&topic, workload.partitions, 1).await;
    }
    let place = Place {
        workload,
        topic: &topic,
        bootstrap: kafka.bootstrap(),
        sink: &address,
        directory: directory.path(),
    };
    let mut process = contender.start(&place);
    let pace = workload
        .steady
        .map(|rate| tokio::task::spawn_blocking(steady(kafka.bootstrap(), workload, &topic, rate)));
    let figures = watch(&mut process, &address, workload).await;
    if let Some(pace) = pace {
        pace.await.unwrap();
        kafka.delete_topic(&topic).await;
    }
    process.end().await;
    sink.end().await;
    figures.inspect_err(|failure| {
        eprintln!("{} failed: {failure}\n{}", contender.name(), tail(&place.log()));
    })
}

/// Waits for the warm-up, then for the end, and looks at the process at both.
async fn watch(process: &mut Process, sink: &str, workload: &Workload) -> Result<Figures, String> {
    let (warm_up, total) = (workload.warm_up(), workload.total());
    let mut samples = Samples::new();
    reach(process, sink, warm_up, &mut samples).await?;
    let (cpu, began) = (process.cpu(), Instant::now());
    samples.clear();
    let stats = reach(process, sink, total, &mut samples).await?;
    let (cpu, took) = (process.cpu().saturating_sub(cpu), began.elapsed());
    #[expect(clippy::cast_precision_loss, reason = "a number of records")]
    let records = workload.records as f64;
    let count = |name: &str| stats[name].as_u64().unwrap_or_default();
    let latency = |name: &str| stats["latency_ms"][name].as_u64().unwrap_or_default();
    Ok(Figures {
        cpu_ns: cpu.as_secs_f64() * 1e9 / records,
        per_second: records / took.as_secs_f64(),
        peak_rss_mb: megabytes(process.peak_rss()),
        rss_mb: median(&samples, |arrived| arrived < 2 * warm_up)
            .zip(median(&samples, |arrived| arrived >= total - warm_up))
            .map(<[f64; 2]>::from),
        requests: count("requests"),
        repeated: count("events").saturating_sub(count("distinct")),
        latency_ms: workload.steady.map(|_| ["p50", "p90", "p99", "max"].map(latency)),
    })
}

/// The median of the memory while so many records had arrived.
fn median(samples: &Samples, when: impl Fn(usize) -> bool) -> Option<f64> {
    let mut bytes: Vec<u64> =
        samples.iter().filter(|(arrived, _)| when(*arrived)).map(|(_, bytes)| *bytes).collect();
    bytes.sort_unstable();
    bytes.get(bytes.len() / 2).copied().map(megabytes)
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Waits until so many distinct records have arrived. Gives what the sink says then.
async fn reach(
    process: &mut Process,
    sink: &str,
    wanted: usize,
    samples: &mut Samples,
) -> Result<Value, String> {
    let mut ticks = interval(STEP);
    let (mut last, mut since) = (0, Instant::now());
    loop {
        ticks.tick().await;
        let stats = reqwest::get(format!("{sink}/stats")).await.map_err(|it| it.to_string())?;
        let stats: Value = stats.json().await.map_err(|it| it.to_string())?;
        let distinct = stats["distinct"].as_u64().and_then(|it| usize::try_from(it).ok());
        let distinct = distinct.unwrap_or_default();
        samples.push((distinct, process.rss()));
        if distinct >= wanted {
            return Ok(stats);
        }
        if distinct > last {
            (last, since) = (distinct, Instant::now());
        }
        if process.has_ended() || since.elapsed() > PATIENCE {
            return Err(format!("only {distinct} of {wanted} records arrived"));
        }
    }
}

/// Produces at a steady rate, each record with the time it is made.
fn steady(
    bootstrap: &str,
    workload: &Workload,
    topic: &str,
    rate: usize,
) -> impl FnOnce() + Send + 'static {
    let (bootstrap, workload, topic) = (bootstrap.to_owned(), workload.clone(), topic.to_owned());
    move || {
        let producer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .create()
            .unwrap();
        let mut text = String::new();
        let began = now_ms();
        for n in 0..workload.total() {
            let due = began + i64::try_from(n * 1_000 / rate).unwrap();
            while now_ms() < due {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a thread of its own that keeps a pace"
                )]
                std::thread::sleep(Duration::from_micros(200));
            }
            workload.record(n, now_ms(), &mut text);
            send(&producer, &topic, n, workload.partitions, &text);
        }
        producer.flush(Timeout::Never).unwrap();
    }
}
