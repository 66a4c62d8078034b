//! Those who send as much as they may, and the figures of what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ldsink::resilience::budget::{Budget, BudgetSettings, Server as Destination};
use ldsink::resilience::outage::OutageSettings;
use ldsink::resilience::quota::RequestQuota;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::server::{Seen, Server};

pub(crate) const CONCURRENCY: usize = 8;
pub(crate) const RESERVE: f64 = 0.2;

pub(crate) const OUTAGE: OutageSettings = OutageSettings {
    failures: 5,
    pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(60),
};

pub(crate) fn budget(reserve: f64) -> Arc<Budget> {
    budget_with(reserve, RequestQuota::default(), &Arc::new(Destination::new(OUTAGE)))
}

pub(crate) fn budget_with(
    reserve: f64,
    quota: RequestQuota,
    destination: &Arc<Destination>,
) -> Arc<Budget> {
    let pause = Duration::from_millis(200);
    let settings = BudgetSettings { reserve, concurrency: CONCURRENCY, pause };
    Arc::new(Budget::new(settings, quota, Arc::clone(destination)))
}

/// Begins to send, with more to send than may be under way, until the set is dropped.
pub(crate) fn flood(
    tasks: &mut JoinSet<()>,
    server: &Arc<Server>,
    budget: &Arc<Budget>,
    by: usize,
) {
    flood_lane(tasks, server, budget, by, 1);
}

pub(crate) fn flood_lane(
    tasks: &mut JoinSet<()>,
    server: &Arc<Server>,
    budget: &Arc<Budget>,
    by: usize,
    weight: u32,
) {
    let lane = budget.lane(weight);
    for _ in 0..CONCURRENCY + 2 {
        let (server, budget) = (Arc::clone(server), Arc::clone(budget));
        tasks.spawn(async move {
            loop {
                let permit = budget.admit(lane, "endpoint").await;
                permit.answered(&server.ask(by).await);
            }
        });
    }
}

/// Somebody else who takes so many requests per window, evenly, in every window that is asked for.
pub(crate) fn other(
    tasks: &mut JoinSet<()>,
    server: &Arc<Server>,
    by: usize,
    per_window: u32,
    takes: impl Fn(u64) -> bool + Send + 'static,
) {
    let server = Arc::clone(server);
    tasks.spawn(async move {
        let pause = Duration::from_secs(10) / per_window;
        for n in 0_u64.. {
            if takes(n / u64::from(per_window)) {
                server.take(by);
            }
            sleep(pause).await;
        }
    });
}

/// What a scenario came to.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) seen: Vec<Seen>,
    /// The windows that were seen whole.
    pub(crate) windows: std::ops::Range<i64>,
}

impl Figures {
    /// Of all that was seen but the first windows, and the last one, which was cut off.
    pub(crate) fn of(server: &Server, but: i64) -> Self {
        let seen = server.seen();
        let (first, last) = (seen[0].window, seen.last().unwrap().window);
        Self { seen, windows: first + but..last }
    }

    fn of_windows(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|seen| self.windows.contains(&seen.window))
    }

    pub(crate) fn accepted_by(&self, by: usize) -> BTreeMap<i64, u32> {
        let mut accepted: BTreeMap<i64, u32> = self.windows.clone().map(|n| (n, 0)).collect();
        for seen in self.of_windows().filter(|seen| seen.by == by && !seen.refused) {
            *accepted.get_mut(&seen.window).unwrap() += 1;
        }
        accepted
    }

    /// Accepted per window, on the average.
    pub(crate) fn rate(&self, by: usize) -> f64 {
        let accepted = self.accepted_by(by);
        f64::from(accepted.values().sum::<u32>()) / count(accepted.len())
    }

    /// Of all requests of some, from the first one on.
    pub(crate) fn refused(&self, by: impl Fn(usize) -> bool) -> f64 {
        let all = self.seen.iter().filter(|seen| by(seen.by));
        let refused = all.clone().filter(|seen| seen.refused).count();
        count(refused) / count(all.count())
    }

    /// How many of our requests found no more left than this.
    pub(crate) fn below(&self, reserve: u32, by: impl Fn(usize) -> bool) -> usize {
        self.seen.iter().filter(|seen| by(seen.by) && seen.left <= reserve).count()
    }
}

pub(crate) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

/// Prints a line of figures.
pub(crate) fn tell(scenario: &str, figures: fmt::Arguments<'_>) {
    println!("{scenario:<44} {figures}");
}
