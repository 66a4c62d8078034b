//! Runs workloads through contenders, in turn, and takes the figures.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rdkafka::producer::Producer as _;
use rdkafka::util::Timeout;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, interval};

use crate::arguments::Bench;
use crate::contender::{Contender, Place, other_topic};
use crate::process::{Process, now_ms};
use crate::sink::SinkSettings;
use crate::support::kafka::KafkaCluster;
use crate::table::Table;
use crate::workload::{Workload, record, send};

/// What every contender that makes batches is told.
pub(crate) const BATCH_EVENTS: usize = 1_000;
pub(crate) const LINGER: Duration = Duration::from_millis(100);
pub(crate) const POSTS: usize = 8;

/// How often the sink is asked how far it is; an error of as much in a run of seconds.
const STEP: Duration = Duration::from_millis(20);
/// Without any progress for so long, a contender has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// One run of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Of the contender's own process, per record, without warm-up.
    pub(crate) cpu_ns: f64,
    /// Records per second by the clock.
    pub(crate) per_second: f64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) requests: u64,
    /// Records that arrived more than once.
    pub(crate) repeated: u64,
    /// Median, 90 %, 99 % and most, in milliseconds from produced to accepted.
    pub(crate) latency_ms: Option<[u64; 4]>,
}

pub(crate) async fn run(bench: &Bench) {
    let kafka = KafkaCluster::start(1).await;
    let wanted = |contender: &Contender| {
        bench.contenders.as_ref().is_none_or(|some| some.iter().any(|it| it == contender.name()))
    };
    for workload in &bench.workloads {
        let workload = workload.clone().scaled(bench.scale);
        if workload.steady.is_none() {
            workload.prepare(&kafka).await;
        }
        for n in 1..workload.routes {
            kafka.create_topic(&other_topic(n), 1, 1).await;
        }
        let mut table = Table::new(&workload);
        for run in 0..bench.runs {
            for contender in Contender::ALL.into_iter().filter(&wanted) {
                if contender.takes_part(&workload) {
                    let figures = measure(&kafka, &workload, contender).await;
                    println!("{} {run} {}: {figures:?}", workload.name, contender.name());
                    table.add(contender, figures);
                }
            }
        }
        let text = table.to_string();
        println!("\n{text}");
        if bench.keep {
            append(&text);
        }
    }
}

async fn measure(kafka: &KafkaCluster, workload: &Workload, contender: Contender) -> Figures {
    let directory = TempDir::new().unwrap();
    let late = workload.steady.is_some();
    let settings = SinkSettings { records: workload.total(), delay_ms: workload.delay_ms, late };
    let (sink, address) = Process::of_ourselves(&settings.words());
    // A steady load is made while it is measured, so each run has a topic of its own.
    let mut workload = workload.clone();
    if late {
        workload.name = "steady";
        kafka.create_topic(&workload.topic(), workload.partitions, 1).await;
    }
    let place = Place {
        workload: &workload,
        bootstrap: kafka.bootstrap(),
        sink: &address,
        directory: directory.path(),
    };
    let mut process = contender.start(&place);
    let pace = late.then(|| tokio::task::spawn_blocking(steady(kafka.bootstrap(), &workload)));
    let figures = watch(&mut process, &address, &workload).await.unwrap_or_else(|failure| {
        let log = std::fs::read_to_string(directory.path().join("ldsink.log")).unwrap_or_default();
        panic!("{} failed: {failure}\n{log}", contender.name())
    });
    if let Some(pace) = pace {
        pace.await.unwrap();
        kafka.delete_topic(&workload.topic()).await;
    }
    process.end().await;
    sink.end().await;
    figures
}

/// Waits for the warm-up, then for the end, and looks at the process at both.
async fn watch(process: &mut Process, sink: &str, workload: &Workload) -> Result<Figures, String> {
    let (cpu, began) = {
        reach(process, sink, workload.warm_up()).await?;
        (process.cpu(), Instant::now())
    };
    let stats = reach(process, sink, workload.total()).await?;
    let (cpu, took) = (process.cpu().saturating_sub(cpu), began.elapsed());
    #[expect(clippy::cast_precision_loss, reason = "a number of records")]
    let records = workload.records as f64;
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
    let peak_rss_mb = process.peak_rss() as f64 / 1e6;
    let count = |name: &str| stats[name].as_u64().unwrap_or_default();
    let latency = |name: &str| stats["latency_ms"][name].as_u64().unwrap_or_default();
    Ok(Figures {
        cpu_ns: cpu.as_secs_f64() * 1e9 / records,
        per_second: records / took.as_secs_f64(),
        peak_rss_mb,
        requests: count("requests"),
        repeated: count("events").saturating_sub(count("distinct")),
        latency_ms: workload.steady.map(|_| ["p50", "p90", "p99", "max"].map(latency)),
    })
}

/// Waits until so many distinct records have arrived. Gives what the sink says then.
async fn reach(process: &mut Process, sink: &str, wanted: usize) -> Result<Value, String> {
    let mut ticks = interval(STEP);
    let (mut last, mut since) = (0, Instant::now());
    loop {
        ticks.tick().await;
        let stats = reqwest::get(format!("{sink}/stats")).await.map_err(|it| it.to_string())?;
        let stats: Value = stats.json().await.map_err(|it| it.to_string())?;
        let distinct = stats["distinct"].as_u64().unwrap_or_default();
        if usize::try_from(distinct).is_ok_and(|it| it >= wanted) {
            return Ok(stats);
        }
        if distinct > last {
            (last, since) = (distinct, Instant::now());
        }
        if process.has_ended() || since.elapsed() > PATIENCE {
            return Err(format!("{distinct} of {wanted} records have arrived"));
        }
    }
}

/// Produces at a steady rate, each record with the time it is made.
fn steady(bootstrap: &str, workload: &Workload) -> impl FnOnce() + Send + 'static {
    let (bootstrap, workload) = (bootstrap.to_owned(), workload.clone());
    move || {
        let rate = workload.steady.unwrap();
        let producer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
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
            record(workload.shape, n, now_ms(), &mut text);
            send(&producer, &workload.topic(), n, workload.partitions, &text);
        }
        producer.flush(Timeout::Never).unwrap();
    }
}

/// Appends to the results that the README shows.
fn append(table: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results.md");
    let mut text = std::fs::read_to_string(&file).unwrap_or_default();
    write!(text, "\n{table}").unwrap();
    std::fs::write(file, text).unwrap();
}
