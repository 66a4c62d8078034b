//! An outage comes, is asked about by one at a time, and goes.

use super::*;

const SETTINGS: OutageSettings = OutageSettings {
    failures: 3,
    pause: Duration::from_secs(1),
    longest_pause: Duration::from_secs(60),
};
const FULL: u32 = 6;
const FAILS: Sign = Sign::Fails(None);

/// Three failures, and the request that was sent with them and has no answer yet.
fn down() -> (Outage, Entry) {
    let mut outage = Outage::new(SETTINGS);
    let now = Instant::now();
    let entries = [0; 4].map(|_| outage.enter());
    assert_eq!(outage.answered(entries[0], FAILS, FULL, now), None);
    assert_eq!(outage.answered(entries[1], FAILS, FULL, now), None);
    assert_eq!(outage.answered(entries[2], FAILS, FULL, now), Some(Turn::Began));
    (outage, entries[3])
}

fn next_probe(outage: &Outage) -> Instant {
    let Leave::At(at) = outage.leave(Instant::now()) else { panic!("{outage:?}") };
    at
}

#[tokio::test(start_paused = true)]
async fn a_success_in_between_is_no_outage() {
    let mut outage = Outage::new(SETTINGS);
    for _ in 0..10 {
        for sign in [FAILS, FAILS, Sign::Works] {
            let entry = outage.enter();
            assert_eq!(outage.answered(entry, sign, FULL, Instant::now()), None);
        }
    }
    assert_eq!(outage.condition(), Condition::Up);
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_with_growing_pauses_u1() {
    let (mut outage, late) = down();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let now = Instant::now();
        let at = next_probe(&outage);
        pauses.push(at - now);
        tokio::time::advance(at - now).await;
        assert_eq!(outage.leave(at), Leave::Now);
        let probe = outage.enter();
        assert_eq!(outage.leave(at), Leave::AfterAnAnswer, "U1");
        assert_eq!(outage.answered(probe, FAILS, FULL, at), None);
    }
    assert!(pauses[0] >= Duration::from_millis(500), "{pauses:?}");
    assert!(pauses[11] >= Duration::from_secs(30), "{pauses:?}");
    let before = next_probe(&outage);
    outage.answered(late, FAILS, FULL, Instant::now());
    assert_eq!(next_probe(&outage), before, "U4");
}

#[tokio::test(start_paused = true)]
async fn hints_prolong_every_pause_u2() {
    let hour = Duration::from_secs(3_600);
    let (mut outage, late) = down();
    let now = Instant::now();
    outage.answered(late, Sign::Fails(Some(hour)), FULL, now);
    assert!(next_probe(&outage) >= now + hour);
    tokio::time::advance(hour).await;
    let probe = outage.enter();
    let now = Instant::now();
    outage.answered(probe, Sign::Fails(Some(hour)), FULL, now);
    assert!(next_probe(&outage) >= now + hour);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_gradual_and_starts_again_after_a_failure_u3() {
    let (mut outage, _) = down();
    let now = next_probe(&outage);
    let probe = outage.enter();
    assert_eq!(outage.answered(probe, Sign::Works, FULL, now), Some(Turn::Answers));
    assert_eq!(outage.condition(), Condition::Recovering);
    let entries = [outage.enter(), outage.enter()];
    assert_eq!(outage.leave(now), Leave::AfterAnAnswer, "two, and no more");
    assert_eq!(outage.answered(entries[0], Sign::Works, FULL, now), None);
    assert_eq!(outage.answered(entries[1], FAILS, FULL, now), None);
    assert_eq!(outage.condition(), Condition::Recovering, "it may be that request's fault");
    let only = outage.enter();
    assert_eq!(outage.leave(now), Leave::AfterAnAnswer, "but slowly");
    assert_eq!(outage.answered(only, FAILS, FULL, now), Some(Turn::Relapsed));
    assert_eq!(outage.condition(), Condition::Down, "U3");

    let probe = outage.enter();
    outage.answered(probe, Sign::Works, FULL, now);
    let mut most = 0;
    let mut under_way = Vec::new();
    for _ in 0..20 {
        while outage.condition() == Condition::Recovering && outage.leave(now) == Leave::Now {
            under_way.push(outage.enter());
        }
        most = most.max(under_way.len());
        if under_way.is_empty() {
            break;
        }
        if outage.answered(under_way.remove(0), Sign::Works, FULL, now).is_some() {
            assert_eq!(outage.condition(), Condition::Up);
            return;
        }
    }
    panic!("{most} were under way, and it never ended: {outage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_from_before_does_not_end_a_recovery() {
    let (mut outage, late) = down();
    let now = next_probe(&outage);
    let probe = outage.enter();
    assert_eq!(outage.answered(probe, Sign::Works, FULL, now), Some(Turn::Answers));
    assert_eq!(outage.answered(late, Sign::Works, FULL, now), None);
    assert_eq!(outage.condition(), Condition::Recovering, "nobody was let through yet");
    let only = outage.enter();
    assert_eq!(outage.answered(only, Sign::Works, FULL, now), Some(Turn::Ended));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_given_up_leaves_room_for_another() {
    let (mut outage, _) = down();
    let now = next_probe(&outage);
    let probe = outage.enter();
    outage.answered(probe, Sign::Unknown, FULL, now);
    assert_eq!(outage.leave(now), Leave::Now);
}
