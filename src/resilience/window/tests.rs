//! What a window lets through, and when it is taken for over.

use proptest::prelude::*;

use super::*;

const LIMIT: u32 = 10;
const RESET_MS: i64 = 1_767_225_600_000;

fn told(remaining: u32, reset_ms: i64) -> Told {
    let (limit, remaining) = (Some(LIMIT), Some(remaining));
    Told { limit, remaining, reset_ms: Some(reset_ms), reset_in: None }
}

/// A window of which it was told at once that 3 s of it are left.
fn window(remaining: u32) -> (Window, Instant) {
    let now = Instant::now();
    let mut window = Window::new(0.2, now);
    let wait = Duration::from_secs(3);
    let told = Told { reset_in: Some(wait), ..told(remaining, RESET_MS) };
    window.answered(told, now, now);
    (window, now)
}

#[tokio::test(start_paused = true)]
async fn nothing_told_is_nothing_known() {
    let mut window = Window::new(0.2, Instant::now());
    assert_eq!(window.leave(0, Instant::now()), None);
    let limit = Told { limit: Some(LIMIT), ..Told::default() };
    window.answered(limit, Instant::now(), Instant::now());
    assert!(window.leave(0, Instant::now()).is_none() && window.level().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_reserve_waits_for_the_reset_n1() {
    for (remaining, under_way) in [(2, 0), (0, 0), (5, 3), (10, 8), (3, 90)] {
        let (window, now) = window(remaining);
        let Some(Leave::At(at)) = window.leave(under_way, now) else {
            panic!("{remaining} {under_way}")
        };
        let wait = at - now;
        assert!(wait >= Duration::from_secs(3), "{wait:?}");
        assert!(wait <= Duration::from_millis(3_100), "{wait:?}");
    }
    let level = Level { limit: LIMIT, remaining: 3, reserve: 2 };
    assert_eq!(window(3).0.level(), Some(level));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_not_told_any_more_is_forgotten() {
    let (mut window, _) = window(2);
    for _ in 0..FORGOTTEN_AFTER {
        assert!(window.is_known());
        window.unseen();
    }
    assert_eq!(window.leave(0, Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn answers_that_overtake_each_other_change_nothing() {
    let (mut window, now) = window(5);
    window.answered(told(7, RESET_MS), now, now);
    assert_eq!(window.level().unwrap().remaining, 5);
    window.answered(told(9, RESET_MS - 10_000), now, now);
    assert_eq!(window.level().unwrap().remaining, 5, "of the window before");
    window.answered(told(9, RESET_MS + 10_000), now, now);
    assert_eq!(window.level().unwrap().remaining, 9, "a new one");
}

proptest! {
    /// N2, whatever the clocks: with windows of 10 s, an end is expected within a window of any
    /// answer, and never before the true one.
    #[test]
    fn n2_an_end_is_never_expected_too_early(
        clock_ms in -100_000_000..100_000_000_i64,
        gaps in proptest::collection::vec((1..4_000_u64, 0..500_u64), 1..60),
    ) {
        let start = Instant::now();
        let mut window = Window::new(0.0, start);
        let mut now = start;
        for (gap, trip) in gaps {
            let sent = now + Duration::from_millis(gap);
            let judged = sent + Duration::from_millis(trip);
            now = judged + Duration::from_millis(trip);
            let server_ms = clock_ms + i64::try_from((judged - start).as_millis()).unwrap();
            let reset_ms = (server_ms.div_euclid(10_000) + 1) * 10_000;
            window.answered(told(0, reset_ms), sent, now);
            let left = u64::try_from(reset_ms - server_ms).unwrap();
            let ends = window.present.unwrap().ends;
            prop_assert!(ends >= judged + Duration::from_millis(left));
            prop_assert!(ends <= now + WINDOW);
        }
    }
}
