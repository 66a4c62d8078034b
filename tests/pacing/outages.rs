//! Servers that are down, come back, or get slow.

use std::sync::Arc;
use std::time::Duration;

use ldsink::resilience::budget::{Budget, Server as Destination};
use ldsink::resilience::outage::Condition;
use ldsink::resilience::quota::RequestQuota;
use ldsink::resilience::retry::RetryPauses;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::clients::{
    CONCURRENCY, Figures, OUTAGE, RESERVE, budget, budget_with, count, flood, tell,
};
use crate::server::{Hidden, Says, Server};

/// Nothing but outages, from tasks that count what they sent.
async fn until(what: &str, so: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(3_600), "{what}");
        sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

fn unlimited() -> Arc<Server> {
    Arc::new(Server::new(Hidden { limit: 1_000_000, says: Says::Nothing, ..Hidden::default() }))
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_asked_after_by_one_and_ends_gradually() {
    let server = unlimited();
    let mut tasks = JoinSet::new();
    // Two tokens, one server.
    let destination = Arc::new(Destination::new(OUTAGE));
    let budgets: [Arc<Budget>; 2] =
        [0, 1].map(|_| budget_with(RESERVE, RequestQuota::default(), &destination));
    for (by, budget) in budgets.iter().enumerate() {
        flood(&mut tasks, &server, budget, by);
    }
    sleep(Duration::from_secs(20)).await;
    let before = server.most_under_way();
    server.set_down(true);
    until("the outage", || destination.condition() == Condition::Down).await;
    sleep(Duration::from_millis(200)).await;
    server.most_under_way();
    sleep(Duration::from_secs(600)).await;
    let during = server.most_under_way();
    server.set_down(false);
    let noticed = until("a probe", || destination.condition() != Condition::Down).await;
    server.most_under_way();
    // Less than the quickest answer takes.
    sleep(Duration::from_millis(19)).await;
    let at_first = server.most_under_way();
    let recovered = until("the end", || destination.condition() == Condition::Up).await;
    sleep(Duration::from_secs(5)).await;
    let after = server.most_under_way();
    tell(
        "outage, two budgets",
        format_args!(
            "{before} at once before, {during} during, {at_first} at first, {after} after; \
             noticed after {noticed:.0?}, recovered after {recovered:.0?}"
        ),
    );
    assert_eq!(during, 1, "one probe at a time");
    assert!(at_first <= 2, "no stampede");
    assert!(noticed <= OUTAGE.longest_pause * 2);
    assert!(recovered < Duration::from_secs(2));
    assert!(before > CONCURRENCY && after > CONCURRENCY);
}

#[tokio::test(start_paused = true)]
async fn concurrency_adapts_to_what_a_server_can_take() {
    let server = unlimited();
    let mut tasks = JoinSet::new();
    let budget = budget(RESERVE);
    flood(&mut tasks, &server, &budget, 0);
    sleep(Duration::from_secs(30)).await;
    let free = budget.status().concurrency;
    let mut bounds = Vec::new();
    server.set_capacity(0);
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        bounds.push(budget.status().concurrency);
    }
    let least = *bounds.iter().min().unwrap();
    bounds.clear();
    for _ in 0..600 {
        sleep(Duration::from_millis(100)).await;
        bounds.push(budget.status().concurrency);
    }
    let mean = f64::from(bounds.iter().sum::<u32>()) / count(bounds.len());
    server.set_capacity(usize::MAX);
    sleep(Duration::from_secs(30)).await;
    let again = budget.status().concurrency;
    tell(
        "latency grows with every request at once",
        format_args!("{free} at once before, down to {least}, then {mean:.1}, {again} after"),
    );
    assert_eq!(usize::try_from(free).unwrap(), CONCURRENCY, "as many as allowed");
    assert!(least < free, "{bounds:?}");
    assert_eq!(again, free, "it is regained");
}

#[tokio::test(start_paused = true)]
async fn one_request_that_always_fails_does_not_hold_up_the_others() {
    let server = Arc::new(Server::new(Hidden::default()));
    server.poison(1);
    let destination = Arc::new(Destination::new(OUTAGE));
    let budget = budget_with(RESERVE, RequestQuota::default(), &destination);
    let mut tasks = JoinSet::new();
    let (poisoned, its_server) = (Arc::clone(&budget), Arc::clone(&server));
    tasks.spawn(async move {
        let lane = poisoned.lane(1);
        let mut pauses = RetryPauses::new(OUTAGE.pause, OUTAGE.longest_pause);
        loop {
            let permit = poisoned.admit(lane, "endpoint").await;
            permit.answered(&its_server.ask(1).await);
            // As a lane does.
            if !poisoned.is_down() {
                sleep(pauses.next(None)).await;
            }
        }
    });
    // Alone, it cannot be told from an outage.
    until("the outage", || destination.condition() == Condition::Down).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(destination.condition(), Condition::Down);
    flood(&mut tasks, &server, &budget, 0);
    let noticed = until("the end", || destination.condition() == Condition::Up).await;
    sleep(Duration::from_secs(600)).await;
    let figures = Figures::of(&server, 2);
    let (rate, least) = (figures.rate(0), *figures.accepted_by(0).values().min().unwrap());
    tell(
        "one request always fails",
        format_args!("seen to be no outage after {noticed:.0?}, then {rate:.1} of 160 used"),
    );
    assert!(noticed <= OUTAGE.longest_pause * 4);
    assert!(rate >= 152.0 && least >= 120, "{rate}, {least}");
}
