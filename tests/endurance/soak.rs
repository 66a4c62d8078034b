//! P5 over a long time: members under load, faults and rebalances keep their memory and their open
//! files, and no record waits for long.
//!
//! Two members live through the whole run and are measured; a third one joins and leaves. What
//! LaunchDarkly does changes all the time. The limits are checked at the end, the slopes only where
//! the run is long enough for them to mean anything.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use crate::arguments::Arguments;
use crate::figures::slope;
use crate::load::{Load, Pace};
use crate::membership::{Membership, Sessions};
use crate::scene::{STALL, Scene, Watchdog, everyday_faults};
use crate::support::kafka::KafkaCluster;
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::service::Service;
use crate::support::wait::eventually;
use ldsink::sandbox::{JournalMode, Settings};

/// Without `--minutes`.
const SHORT: Duration = Duration::from_secs(20);
const RECORDS_PER_SECOND: usize = 600;
const SAMPLE: Duration = Duration::from_secs(2);
/// How long LaunchDarkly stays in one mood, and a third member in or out of the group.
const MOOD: Duration = Duration::from_secs(10);
/// The share of the run in which caches and pools fill, and its longest duration.
const WARM_UP: f64 = 0.2;
const LONGEST_WARM_UP: Duration = Duration::from_secs(300);
/// Slopes of a shorter measurement are noise.
const SLOPES_FROM: Duration = Duration::from_secs(600);

/// The limits.
const RSS_MB_PER_TEN_MINUTES: f64 = 1.0;
const FILES_PER_TEN_MINUTES: f64 = 1.0;
const HIGHEST_RSS_MB: f64 = 128.0;
const MOST_FILES: f64 = 128.0;
/// How a process ends that could not settle everything within its deadline.
const UNFINISHED: i32 = 4;
/// LaunchDarkly refuses everything for a while, and a rebalance may come on top.
const OLDEST: Duration = Duration::from_secs(60);
const HIGHEST_LAG: i64 = 60 * 600;

/// One look at everything.
#[derive(Debug)]
struct Sample {
    minutes: f64,
    /// By measured member.
    rss_mb: Vec<f64>,
    files: Vec<f64>,
    lag: i64,
    /// How long the oldest record has waited that is not committed.
    age: Duration,
}

/// When each partition's log ended where.
#[derive(Debug, Default)]
struct Ages {
    seen: VecDeque<(Instant, Vec<i64>)>,
}

struct Soak {
    scene: Scene,
    measured: Vec<Service>,
    guest: Option<Service>,
    guests: usize,
    ages: Ages,
    samples: Vec<Sample>,
    started: Instant,
}

pub(crate) async fn run(arguments: &Arguments) {
    let lasts = arguments.soak.unwrap_or(SHORT);
    let kafka = Arc::new(KafkaCluster::start(1).await);
    let settings = Settings { journal: JournalMode::Counts, ..Settings::default() };
    let scene = Scene::set(&kafka, LaunchDarkly::with(settings).await).await;
    let pace = Pace { keeps_identities: false, ..scene.pace(RECORDS_PER_SECOND, arguments.seed) };
    let load = Load::start(&kafka, pace);
    let config = scene.config(&Membership::Cooperative.properties(0, Sessions::Patient));
    // While LaunchDarkly throttles, few requests have to carry much.
    let few = "max_events: 100,";
    assert!(config.contains(few), "{config}");
    let config = config.replace(few, "max_events: 1000,");
    let measured = vec![Service::start(&config), Service::start(&config)];
    let mut soak = Soak {
        scene,
        measured,
        guest: None,
        guests: 0,
        ages: Ages::default(),
        samples: Vec::new(),
        started: Instant::now(),
    };
    soak.live(lasts, &config, arguments.seed).await;

    let records = load.produced();
    let model = load.stop().await;
    soak.scene.sandbox.clear_faults().await;
    let scene = &soak.scene;
    eventually(STALL, "all events", async || {
        let counted = scene.counted().await;
        if counted >= model.events { Ok(()) } else { Err(format!("{counted} of {}", model.events)) }
    })
    .await;
    scene.all_committed().await;
    for service in soak.measured.drain(..).chain(soak.guest.take()) {
        let ended = service.stop().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    }
    // Not one more and not one fewer: every event of every record counts once.
    assert_eq!(soak.scene.counted().await, model.events, "events that count");
    soak.scene.hold_model(&model).await;
    println!("{records} records, {} events, {} guests, 0 kills", model.events, soak.guests);
    verdict(&soak.samples);
}

impl Soak {
    async fn live(&mut self, lasts: Duration, config: &str, seed: u64) {
        let mut ticks = interval(SAMPLE);
        let mut watchdog = Watchdog::new();
        let mut mood = usize::try_from(seed % 7).unwrap();
        let mut changed: Option<Instant> = None;
        while self.started.elapsed() < lasts {
            ticks.tick().await;
            if changed.is_none_or(|at| at.elapsed() >= MOOD) {
                changed = Some(Instant::now());
                self.scene.sandbox.set_faults(faults(mood)).await;
                mood += 1;
                self.receive_or_dismiss(config).await;
            }
            for service in &mut self.measured {
                assert!(service.is_running(), "a member ended by itself:\n{}", service.log());
            }
            watchdog.look(self.scene.counted().await);
            self.sample().await;
        }
    }

    /// Every other time a guest joins, the other times it leaves.
    async fn receive_or_dismiss(&mut self, config: &str) {
        match self.guest.take() {
            None => {
                self.guest = Some(Service::start(config));
                self.guests += 1;
            }
            Some(guest) => {
                let ended = guest.stop().await;
                // In an outage the deadline of a drain may pass; what was in flight is read again.
                assert!(matches!(ended.status.code(), Some(0 | UNFINISHED)), "{}", ended.log);
            }
        }
    }

    async fn sample(&mut self) {
        let (lag, age) = self.ages.look(&self.scene).await;
        let mut sample = Sample {
            minutes: self.started.elapsed().as_secs_f64() / 60.0,
            rss_mb: Vec::new(),
            files: Vec::new(),
            lag,
            age,
        };
        for service in &self.measured {
            let rss = service.metric("process_resident_memory_bytes", &[]).await;
            sample.rss_mb.push(rss / 1_000_000.0);
            sample.files.push(service.metric("process_open_fds", &[]).await);
        }
        if self.samples.len().is_multiple_of(30) {
            println!("{sample:.1?}");
        }
        self.samples.push(sample);
    }
}

/// What LaunchDarkly does for a while.
fn faults(mood: usize) -> Value {
    match mood % 7 {
        0 => json!([]),
        1 => json!([{ "probability": 0.9, "action": { "kind": "status", "status": 503 } }]),
        2 => json!([{ "action": { "kind": "delay", "ms": 900 } }]),
        3 => json!([{ "probability": 0.3, "action": { "kind": "cut_after_accept" } }]),
        4 => json!([{ "probability": 0.2, "action":
            { "kind": "status", "status": 429, "retry_after_seconds": 1 } }]),
        // Nobody is to mend a token in here, so it is one that fails by itself now and then.
        5 => json!([{ "times": 2, "action": { "kind": "status", "status": 401 } }]),
        _ => everyday_faults(),
    }
}

fn verdict(samples: &[Sample]) {
    let whole = samples.last().unwrap().minutes;
    let warm = (whole * WARM_UP).min(LONGEST_WARM_UP.as_secs_f64() / 60.0);
    let warm: Vec<&Sample> = samples.iter().filter(|sample| sample.minutes >= warm).collect();
    let measured = whole - warm.first().unwrap().minutes;
    println!(
        "| member | RSS MB first, highest, last | RSS MB per 10 min | files highest | files per 10 min |"
    );
    println!("|---|---|---|---|---|");
    for member in 0..samples[0].rss_mb.len() {
        let series = |pick: fn(&Sample) -> &Vec<f64>| -> Vec<(f64, f64)> {
            warm.iter().map(|sample| (sample.minutes, pick(sample)[member])).collect()
        };
        let (rss, files) = (series(|sample| &sample.rss_mb), series(|sample| &sample.files));
        let (rss_slope, files_slope) = (10.0 * slope(&rss), 10.0 * slope(&files));
        let highest = |series: &[(f64, f64)]| series.iter().map(|p| p.1).fold(0.0, f64::max);
        let (first, last) = (rss.first().unwrap().1, rss.last().unwrap().1);
        println!(
            "| {member} | {first:.1}, {:.1}, {last:.1} | {rss_slope:+.2} | {:.0} | {files_slope:+.2} |",
            highest(&rss),
            highest(&files),
        );
        assert!(highest(&rss) <= HIGHEST_RSS_MB, "too much memory");
        assert!(highest(&files) <= MOST_FILES, "too many files");
        if measured * 60.0 >= SLOPES_FROM.as_secs_f64() {
            assert!(rss_slope <= RSS_MB_PER_TEN_MINUTES, "memory grows");
            assert!(files_slope <= FILES_PER_TEN_MINUTES, "open files grow");
        }
    }
    let lag = samples.iter().map(|sample| sample.lag).max().unwrap();
    let age = samples.iter().map(|sample| sample.age).max().unwrap();
    println!("lag up to {lag} records, watermark age up to {age:.0?}, {measured:.1} min measured");
    assert!(lag <= HIGHEST_LAG, "too many records wait");
    assert!(age <= OLDEST, "a record waits for too long");
}

// === impl Ages ===

impl Ages {
    /// Gives how many records are not committed, and since when the oldest of them has been there.
    async fn look(&mut self, scene: &Scene) -> (i64, Duration) {
        let committed: Vec<i64> = scene.committed().await;
        let ends = scene.ends().await;
        let now = Instant::now();
        let lag = ends.iter().zip(&committed).map(|(end, at)| end - at).sum();
        self.seen.push_back((now, ends));
        // Whatever was there at a look and is committed by now does not wait any more.
        let done = |ends: &Vec<i64>| ends.iter().zip(&committed).all(|(end, at)| at >= end);
        while self.seen.front().is_some_and(|(_, ends)| done(ends)) {
            self.seen.pop_front();
        }
        (lag, self.seen.front().map_or(Duration::ZERO, |(at, _)| now.duration_since(*at)))
    }
}
