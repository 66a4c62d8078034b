//! Limits: told, half told, not told; alone, with others, with replicas of ourselves.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ldsink::resilience::budget::{Answer, Server as Destination, Verdict};
use ldsink::resilience::quota::RequestQuota;
use ldsink::resilience::window::Told;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::clients::{
    CONCURRENCY, Figures, OUTAGE, RESERVE, budget, budget_with, count, flood, flood_lane, other,
    tell,
};
use crate::server::{Hidden, Says, Seen, Server};

pub(crate) const WINDOW: Duration = Duration::from_secs(10);
pub(crate) const WINDOWS: u32 = 60;
/// The share of 429 answers that is allowed.
pub(crate) const REFUSED: f64 = 0.001;

/// One client with everything to send, for a while.
async fn alone(hidden: Hidden, reserve: f64) -> Figures {
    let server = Arc::new(Server::new(hidden));
    let mut tasks = JoinSet::new();
    flood(&mut tasks, &server, &budget(reserve), 0);
    sleep(hidden.window * WINDOWS).await;
    Figures::of(&server, 1)
}

#[tokio::test(start_paused = true)]
async fn alone_at_95_percent_of_the_limit() {
    let figures = alone(Hidden::default(), 0.04).await;
    let (rate, refused) = (figures.rate(0), figures.refused(|_| true));
    tell(
        "alone, reserve 4 %",
        format_args!("{rate:.1} of 200 used, {:.3} % refused", refused * 1e2),
    );
    assert!(rate >= 190.0, "95 % of the limit");
    assert!(refused < REFUSED);
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_left_to_others() {
    for (limit, left) in [(1_000, 200), (200, 40), (50, 10), (10, 2), (5, 1), (2, 1), (1, 0)] {
        let figures = alone(Hidden { limit, ..Hidden::default() }, RESERVE).await;
        let (rate, refused) = (figures.rate(0), figures.refused(|_| true));
        let below = figures.below(left, |_| true);
        tell(
            &format!("alone, reserve 20 % of {limit}"),
            format_args!(
                "{rate:.1} used, {:.3} % refused, {below} into the reserve",
                refused * 1e2
            ),
        );
        assert_eq!(below, 0);
        assert_eq!(figures.refused(|_| true).to_bits(), 0.0_f64.to_bits());
        assert!(rate >= f64::from(limit - left) * 0.95, "of {}", limit - left);
    }
}

#[tokio::test(start_paused = true)]
async fn with_others_at_95_percent_of_the_limit() {
    let server = Arc::new(Server::new(Hidden::default()));
    let mut tasks = JoinSet::new();
    flood(&mut tasks, &server, &budget(0.05), 0);
    other(&mut tasks, &server, 1, 30, |_| true);
    sleep(WINDOW * WINDOWS).await;
    let figures = Figures::of(&server, 1);
    let (ours, others) = (figures.rate(0), figures.rate(1));
    let refused = figures.refused(|_| true);
    tell(
        "others take 15 %, reserve 5 %",
        format_args!("{ours:.1} + {others:.1} of 200 used, {:.3} % refused", refused * 1e2),
    );
    assert!(ours + others >= 188.0 && others >= 29.5);
    assert!(refused < REFUSED);
}

#[tokio::test(start_paused = true)]
async fn others_come_and_go() {
    let server = Arc::new(Server::new(Hidden::default()));
    let mut tasks = JoinSet::new();
    flood(&mut tasks, &server, &budget(RESERVE), 0);
    // Three quarters of the limit in every other window.
    other(&mut tasks, &server, 1, 150, |window| window % 2 == 0);
    sleep(WINDOW * WINDOWS).await;
    let figures = Figures::of(&server, 2);
    let (ours, refused) = (figures.refused(|by| by == 0), figures.refused(|by| by == 1));
    let below = figures.below(36, |by| by == 0);
    tell(
        "others take 75 % in turns, reserve 20 %",
        format_args!(
            "{:.1} + {:.1} of 200 used, {:.3} % of ours refused, {:.1} % of theirs, {below} deep in the reserve",
            figures.rate(0),
            figures.rate(1),
            ours * 1e2,
            refused * 1e2
        ),
    );
    assert!(ours < REFUSED);
    // What others took in between was not told yet.
    let sent = figures.seen.iter().filter(|seen| seen.by == 0).count();
    assert!(below * 200 < sent, "less than one in two hundred, not {below} of {sent}");
    assert!(figures.rate(0) > 90.0);
}

#[tokio::test(start_paused = true)]
async fn clocks_may_be_skewed_and_resets_missing() {
    let hour = 3_600_000;
    for (what, hidden) in [
        (
            "the server is an hour ahead",
            Hidden { clock_ms: 1_767_225_600_000 + hour, ..Hidden::default() },
        ),
        ("resets long past", Hidden { clock_ms: 12_345, ..Hidden::default() }),
        ("before the epoch", Hidden { clock_ms: -hour + 77, ..Hidden::default() }),
        ("our clock agrees", Hidden { skew_ms: Some(0), ..Hidden::default() }),
        ("ours is 4 s ahead", Hidden { skew_ms: Some(4_000), ..Hidden::default() }),
        ("ours is 4 s behind", Hidden { skew_ms: Some(-4_000), ..Hidden::default() }),
        ("ours is an hour ahead", Hidden { skew_ms: Some(hour), ..Hidden::default() }),
        ("ours is an hour behind", Hidden { skew_ms: Some(-hour), ..Hidden::default() }),
        ("no limit told", Hidden { says: Says::NoLimit, ..Hidden::default() }),
        ("no reset told", Hidden { says: Says::NoReset, ..Hidden::default() }),
        ("windows of 1 s", Hidden { window: WINDOW / 10, limit: 40, ..Hidden::default() }),
        ("answers take a second", Hidden { limit: 60, slowness: 20, ..Hidden::default() }),
        ("windows of 60 s", Hidden { window: WINDOW * 6, ..Hidden::default() }),
    ] {
        let figures = alone(hidden, RESERVE).await;
        let (rate, refused) = (figures.rate(0), figures.refused(|_| true));
        let ours = f64::from(hidden.limit) * (1.0 - RESERVE);
        tell(what, format_args!("{rate:.1} of {ours} used, {:.3} % refused", refused * 1e2));
        assert!(refused < REFUSED, "{what}");
        assert!(rate > ours * 0.9 && rate < ours * 1.02, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_without_a_word() {
    for says in [Says::Nothing, Says::RetryAfter] {
        let server = Arc::new(Server::new(Hidden { says, ..Hidden::default() }));
        let mut tasks = JoinSet::new();
        flood(&mut tasks, &server, &budget(RESERVE), 0);
        sleep(WINDOW * WINDOWS * 3).await;
        let figures = Figures::of(&server, 5);
        let rate = figures.rate(0);
        let (at_first, later): (Vec<Seen>, Vec<Seen>) =
            figures.seen.iter().copied().partition(|seen| seen.window < figures.windows.start);
        let at_first = at_first.iter().filter(|seen| seen.refused).count();
        let refused = count(later.iter().filter(|seen| seen.refused).count()) / count(later.len());
        tell(
            &format!("the server says {says:?}"),
            format_args!(
                "{rate:.1} of 200 used, {at_first} refused at first, then {:.3} %",
                refused * 1e2
            ),
        );
        assert!(refused < REFUSED && at_first <= 50, "{says:?}");
        assert!(rate > 120.0, "{says:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn full_speed_is_regained_within_two_windows() {
    let server = Arc::new(Server::new(Hidden::default()));
    let mut tasks = JoinSet::new();
    flood(&mut tasks, &server, &budget(RESERVE), 0);
    sleep(WINDOW * 4).await;
    // The account is used up: every window, before we know.
    let mut others = JoinSet::new();
    let greedy = Arc::clone(&server);
    others.spawn(async move {
        loop {
            while greedy.take(1) {}
            sleep(Duration::from_millis(1)).await;
        }
    });
    sleep(WINDOW * 4).await;
    others.shutdown().await;
    let free = server.seen().last().unwrap().window;
    sleep(WINDOW * 6).await;
    let figures = Figures::of(&server, 0);
    let accepted = figures.accepted_by(0);
    let after: Vec<u32> = accepted.range(free + 1..).map(|(_, count)| *count).collect();
    let refused = figures.seen.iter().filter(|seen| seen.by == 0 && seen.refused).count();
    tell("regained", format_args!("by window {after:?}, {refused} refused of ours meanwhile"));
    assert!(after[1] >= 152, "the second window is as the others");
    // Asking is the only way to know: once per window, but for jitter and what was under way.
    assert!(refused <= 20, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_limit_is_followed() {
    let server = Arc::new(Server::new(Hidden::default()));
    let mut tasks = JoinSet::new();
    flood(&mut tasks, &server, &budget(RESERVE), 0);
    sleep(WINDOW * 5).await;
    server.set_limit(50);
    sleep(WINDOW * 5).await;
    server.set_limit(400);
    sleep(WINDOW * 5).await;
    let figures = Figures::of(&server, 0);
    let accepted: Vec<u32> = figures.accepted_by(0).into_values().collect();
    let refused = figures.seen.iter().filter(|seen| seen.refused).count();
    tell("limit 200, 50, 400", format_args!("{accepted:?}, {refused} refused"));
    assert!(accepted[7..9].iter().all(|count| (38..=40).contains(count)), "{accepted:?}");
    assert!(accepted[12] >= 304, "{accepted:?}");
    assert!(refused <= CONCURRENCY);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_lane_never_starves_another() {
    for weight in [1, 3] {
        let server = Arc::new(Server::new(Hidden::default()));
        let mut tasks = JoinSet::new();
        let budget = budget(RESERVE);
        flood_lane(&mut tasks, &server, &budget, 0, 1);
        // Ten times as many of the first lane wait.
        for _ in 0..9 {
            flood_lane(&mut tasks, &server, &budget, 0, 0);
        }
        let first = budget.lane(1);
        assert_ne!(first, budget.lane(1));
        flood_lane(&mut tasks, &server, &budget, 1, weight);
        sleep(WINDOW * 20).await;
        let figures = Figures::of(&server, 1);
        let share = figures.rate(1) / (figures.rate(0) + figures.rate(1));
        let fair = f64::from(weight) / f64::from(weight + 10);
        tell(
            &format!("eleven lanes, one of weight {weight}"),
            format_args!("its share is {:.1} % where {:.1} % is fair", share * 1e2, fair * 1e2),
        );
        assert!((share - fair).abs() < 0.02);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_for_everyone_it_concerns_and_never_shortened() {
    let budget = budget(RESERVE);
    let lane = budget.lane(1);
    let day = Duration::from_secs(86_400);
    let start = Instant::now();
    let throttled = |endpoint: Told, hint| {
        let verdict = Verdict::Throttled;
        Answer { verdict, endpoint, hint: Some(hint), ..Answer::default() }
    };
    let spent = Told { remaining: Some(0), ..Told::default() };
    // The limit of one endpoint is spent: the others go on.
    budget.admit(lane, "one").await.answered(&throttled(spent, day));
    drop(budget.admit(lane, "other").await);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(budget.status().parked_until.unwrap() >= start + day);
    // Nobody knows which limit: everybody waits, and a shorter hint changes nothing.
    let permits = (budget.admit(lane, "other").await, budget.admit(lane, "third").await);
    permits.0.answered(&throttled(Told::default(), day * 2));
    permits.1.answered(&throttled(Told::default(), WINDOW));
    drop(budget.admit(lane, "other").await);
    let waited = start.elapsed();
    assert!(waited >= day * 2 && waited <= day * 2 + Duration::from_secs(10), "{waited:?}");
    // As long as a server may say.
    let permit = budget.admit(lane, "other").await;
    permit.answered(&throttled(Told::default(), Duration::MAX));
    assert!(budget.status().parked_until.unwrap() > Instant::now() + day * 365);
}

#[tokio::test(start_paused = true)]
async fn the_user_s_quota_bounds_every_budget_that_shares_it() {
    let server = Arc::new(Server::new(Hidden { limit: 100_000, ..Hidden::default() }));
    let quota = RequestQuota::new(NonZeroU32::new(5), NonZeroU32::new(10));
    let mut tasks = JoinSet::new();
    for by in 0..2 {
        let destination = Arc::new(Destination::new(OUTAGE));
        flood(&mut tasks, &server, &budget_with(RESERVE, quota.clone(), &destination), by);
    }
    sleep(WINDOW * 10).await;
    let figures = Figures::of(&server, 1);
    let rates = [figures.rate(0), figures.rate(1)];
    let all = figures.seen.len();
    tell(
        "5 per second, 10 at once, two budgets",
        format_args!("{rates:.1?} per window, {all} in all"),
    );
    assert!((490..=511).contains(&all), "{all}");
    assert!(rates.iter().all(|rate| *rate > 10.0), "{rates:?}");
}
