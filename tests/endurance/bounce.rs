//! P2, P3, P4 and P9 while members join and leave all the time: by SIGTERM first, then by SIGKILL, at
//! random moments, under load, in every way to share a group, while LaunchDarkly answers late, refuses
//! and hangs up. At last members are frozen for longer than their sessions, and go on as if nothing
//! had happened.
//!
//! # What must hold
//! - Lost: nothing, ever.
//! - Repeated: after stops alone, no request that was answered comes again.
//! - Counted twice: nothing, not after kills and freezes either; no payload ID is used for two bodies.
//! - Segments and metrics end as their records say.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::figures::Figures;
use crate::fleet::{Fleet, Leave};
use crate::load::Load;
use crate::membership::Membership;
use crate::scene::{Scene, everyday_faults};
use crate::support::kafka::KafkaCluster;
use crate::support::launchdarkly::LaunchDarkly;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Size {
    brokers: usize,
    members: usize,
    /// Per way to share a group.
    stops: usize,
    kills: usize,
    freezes: usize,
    records_per_second: usize,
}

/// Fits beside the other tests.
const SHORT: Size =
    Size { brokers: 1, members: 3, stops: 2, kills: 2, freezes: 0, records_per_second: 400 };
/// A freeze takes longer than a session, so the short form has one in one way.
const SHORT_FREEZES: usize = 1;

pub(crate) async fn run(arguments: &Arguments) {
    let chosen = |way: &Membership| way.name().contains(&arguments.way);
    let ways: Vec<_> = Membership::ALL.into_iter().filter(chosen).collect();
    let mut size = arguments.kills.map_or(SHORT, |kills| long(kills.div_ceil(ways.len())));
    let kafka = Arc::new(KafkaCluster::start(size.brokers).await);
    let mut parts = Vec::new();
    for (way, seed) in ways.into_iter().zip(arguments.seed..) {
        if arguments.kills.is_none() {
            size.freezes = if parts.is_empty() { SHORT_FREEZES } else { 0 };
        }
        parts.push(bounce(&kafka, way, size, seed).await);
        println!("{}", parts.last().unwrap());
    }
    println!("\n{}", Figures::HEADING);
    for part in parts {
        println!("{part}");
    }
}

fn long(kills: usize) -> Size {
    Size {
        brokers: 3,
        members: 4,
        stops: kills.div_ceil(2),
        kills,
        freezes: kills.div_ceil(8),
        records_per_second: 600,
    }
}

async fn bounce(kafka: &Arc<KafkaCluster>, way: Membership, size: Size, seed: u64) -> Figures {
    let started = Instant::now();
    let scene = Scene::set(kafka, LaunchDarkly::start().await).await;
    scene.sandbox.set_faults(everyday_faults()).await;
    let load = Load::start(kafka, scene.pace(size.records_per_second, seed));
    let mut fleet = Fleet::new(&scene, way, size.members, StdRng::seed_from_u64(seed));

    fleet.churn(Leave::Stop, size.stops).await;
    // Those who are to be killed must be ones that are missed soon.
    fleet.disband().await;
    let needless = scene.sandbox.needless_repeats().await;
    assert!(needless.is_empty(), "{}: repeated after a clean stop: {needless:#?}", way.name());
    fleet.figures.repeated = Some(needless.len());

    fleet.churn(Leave::Kill, size.kills).await;
    fleet.churn(Leave::Freeze, size.freezes).await;
    fleet.settle().await;
    fleet.figures.records = load.produced();
    let model = load.stop().await;
    fleet.finish(&model).await;
    fleet.disband().await;

    let account = scene.account(&model).await;
    assert!(account.is_clean(), "{} with seed {seed}: {account}", way.name());
    Figures {
        part: way.name().to_owned(),
        events: model.events,
        lost: account.lost.len(),
        counted_twice: account.counted_twice.len(),
        dropped: scene.sandbox.count("repeats_dropped").await,
        took: started.elapsed(),
        ..fleet.figures
    }
}
