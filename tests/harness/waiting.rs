//! Waiting sees what is so, and says what it saw.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::wait::eventually;

const WITHIN: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn what_is_so_already_needs_no_waiting() {
    let begin = Instant::now();
    assert_eq!(eventually(WITHIN, "a number", async || Some(7)).await, 7);
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_its_probe_succeeds() {
    let looks = Cell::new(0);
    let third = eventually(WITHIN, "the third look", async || {
        looks.set(looks.get() + 1);
        if looks.get() == 3 { Ok(looks.get()) } else { Err(format!("look {}", looks.get())) }
    });
    assert_eq!(third.await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_state_reached_just_at_the_deadline_counts() {
    let begin = Instant::now();
    eventually(WITHIN, "the deadline", async || begin.elapsed() >= WITHIN).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "waited 2s for the moon; last seen: only clouds")]
async fn a_failed_wait_tells_the_last_reason() {
    eventually(WITHIN, "the moon", async || Err::<(), _>("only clouds")).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "waiting.rs")]
async fn a_failed_wait_tells_its_caller() {
    eventually(WITHIN, "nothing", async || false).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the first look never returned")]
async fn a_hanging_probe_is_cut_off() {
    eventually(WITHIN, "a hanging probe", async || std::future::pending::<bool>().await).await;
}
