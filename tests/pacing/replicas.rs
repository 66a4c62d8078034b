//! Several of us on one account, who do not know of each other.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clients::{Figures, RESERVE, budget, flood, tell};
use crate::limits::{REFUSED, WINDOW, WINDOWS};
use crate::server::{Hidden, Server};

#[tokio::test(start_paused = true)]
async fn three_replicas_share_an_account_without_talking() {
    for limit in [60, 200, 1_000] {
        let server = Arc::new(Server::new(Hidden { limit, ..Hidden::default() }));
        let mut tasks = JoinSet::new();
        let mut replicas = Vec::new();
        for replica in 0..3 {
            replicas.push(budget(RESERVE));
            flood(&mut tasks, &server, &replicas[replica], replica);
        }
        sleep(WINDOW * WINDOWS).await;
        let figures = Figures::of(&server, 1);
        let rates = [0, 1, 2].map(|by| figures.rate(by));
        let (all, refused) = (rates.iter().sum::<f64>(), figures.refused(|_| true));
        tell(
            &format!("three replicas, limit {limit}, reserve 20 %"),
            format_args!(
                "{:.1} + {:.1} + {:.1} = {all:.1} used, {:.3} % refused",
                rates[0],
                rates[1],
                rates[2],
                refused * 1e2
            ),
        );
        let ours = f64::from(limit) * (1.0 - RESERVE);
        assert!(refused < REFUSED);
        assert!(all >= ours * 0.95 && all <= ours * 1.05, "of {ours}");
        assert!(rates.iter().all(|rate| *rate >= all / 3.0 * 0.7), "nobody is left out");
    }
}

#[tokio::test(start_paused = true)]
async fn three_replicas_at_95_percent_of_the_limit() {
    let server = Arc::new(Server::new(Hidden::default()));
    let mut tasks = JoinSet::new();
    for replica in 0..3 {
        flood(&mut tasks, &server, &budget(0.05), replica);
    }
    sleep(WINDOW * WINDOWS).await;
    let figures = Figures::of(&server, 1);
    let all: f64 = [0, 1, 2].iter().map(|by| figures.rate(*by)).sum();
    let refused = figures.refused(|_| true);
    tell(
        "three replicas, reserve 5 %",
        format_args!("{all:.1} of 200 used, {:.3} % refused", refused * 1e2),
    );
    assert!(all >= 188.0, "{all}");
    assert!(refused < REFUSED);
}

#[tokio::test(start_paused = true)]
async fn replicas_join_and_leave() {
    let server = Arc::new(Server::new(Hidden::default()));
    let mut first = JoinSet::new();
    flood(&mut first, &server, &budget(RESERVE), 0);
    sleep(WINDOW * 5).await;
    let mut others = JoinSet::new();
    flood(&mut others, &server, &budget(RESERVE), 1);
    flood(&mut others, &server, &budget(RESERVE), 2);
    sleep(WINDOW * 10).await;
    others.shutdown().await;
    sleep(WINDOW * 5).await;
    let figures = Figures::of(&server, 0);
    let by = [0, 1, 2].map(|by| figures.accepted_by(by).into_values().collect::<Vec<u32>>());
    let refused = figures.refused(|_| true);
    tell("two join at 5 and leave at 15", format_args!("{by:?}, {:.3} % refused", refused * 1e2));
    assert!(refused < REFUSED);
    let all: Vec<u32> =
        (0..by[0].len()).map(|at| by.iter().map(|counts| counts[at]).sum()).collect();
    // Within two windows of joining and of leaving.
    assert!(all[1..].iter().all(|count| *count <= 168), "{all:?}");
    for window in 8..15 {
        let shares = by.each_ref().map(|counts| counts[window]);
        assert!(shares.iter().all(|share| (32..=80).contains(share)), "{window}: {shares:?}");
    }
    assert!(by[0][17..].iter().all(|count| *count >= 152), "{by:?}");
}
