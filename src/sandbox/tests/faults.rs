//! Faults over the wire: what the client sees, and what is in the journal nevertheless.

use super::*;

#[tokio::test]
async fn a_cut_after_acceptance_loses_the_answer_and_not_the_events_v1_v2() {
    let served = Served::usual().await;
    served.set_faults(json!([{"times": 1, "action": {"kind": "cut_after_accept"}}])).await;
    let request = served.import().header("x-launchdarkly-payload-id", ID).body(body("paid", 2));
    let error = request.send().await.expect_err("no answer");
    assert!(!error.is_timeout(), "{error:?}");
    let journal = served.journal().await;
    assert_eq!(journal["events_accepted"], 2);
    assert_eq!(journal["requests_by_status"], json!({"none": 1}));

    assert_eq!(served.send(ID, body("paid", 2)).await.status(), StatusCode::ACCEPTED);
    let journal = served.journal().await;
    assert_eq!(journal["events_accepted"], 2);
    assert_eq!(journal["repeats_dropped"], 1);
    let requests = served.get("/sandbox/requests").await;
    assert_eq!(requests["requests"][0]["faults"], json!(["cut_after_accept"]));
    assert_eq!(requests["requests"][0]["status"], Value::Null);
    assert_eq!(requests["requests"][1]["faults"], json!([]));
}

#[tokio::test]
async fn a_cut_before_acceptance_loses_both_v2() {
    let served = Served::usual().await;
    served.set_faults(json!([{"times": 1, "action": {"kind": "cut_before_accept"}}])).await;
    let error = served.import().body(body("paid", 2)).send().await.expect_err("no answer");
    assert!(!error.is_timeout(), "{error:?}");
    assert_eq!(served.journal().await["events_accepted"], 0);
}

/// A raw socket sees the difference between an empty answer and none.
#[tokio::test]
async fn a_cut_connection_ends_without_a_byte_n1() {
    use std::io::{Read, Write};
    let served = Served::usual().await;
    served.set_faults(json!([{"action": {"kind": "cut_after_accept"}}])).await;
    let address = served.base.trim_start_matches("http://").to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let mut wire = std::net::TcpStream::connect(address).expect("connects");
        wire.set_read_timeout(Some(DEADLINE)).expect("sets");
        let head = format!("POST {IMPORT} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]");
        wire.write_all(head.as_bytes()).expect("writes");
        let mut seen = Vec::new();
        wire.read_to_end(&mut seen).map(|_| seen)
    });
    // A reset is as good an end as a close.
    let seen = asked.await.expect("no panic").unwrap_or_default();
    assert!(seen.is_empty(), "{}", String::from_utf8_lossy(&seen));
}

#[tokio::test]
async fn a_status_fault_takes_nothing_and_hints() {
    let served = Served::usual().await;
    let action = json!({"kind": "status", "status": 429, "retry_after_seconds": 7,
        "ratelimit_reset_ms_from_now": -500});
    served.set_faults(json!([{"times": 1, "action": action}])).await;
    let answer = served.send(ID, body("paid", 1)).await;
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(answer.headers()["x-ratelimit-global-remaining"], "0");
    let reset: u64 = answer.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    assert!(reset > 1_700_000_000_000, "{reset}");
    assert_eq!(error_of(answer).await, (429, "rate_limited".to_owned()));
    assert_eq!(served.journal().await["events_accepted"], 0);
    assert_eq!(served.send(ID, body("paid", 1)).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_status_after_acceptance_takes_the_events_v2() {
    let served = Served::usual().await;
    let action = json!({"kind": "status", "status": 503, "after_accept": true});
    served.set_faults(json!([{"times": 1, "action": action}])).await;
    let answer = served.send(ID, body("paid", 1)).await;
    assert_eq!(error_of(answer).await, (503, "service_unavailable".to_owned()));
    assert_eq!(served.send(ID, body("paid", 1)).await.status(), StatusCode::ACCEPTED);
    let journal = served.journal().await;
    assert_eq!(journal["events_accepted"], 1);
    assert_eq!(journal["repeats_dropped"], 1);
}

#[tokio::test]
async fn poison_is_found_in_the_body() {
    let served = Served::usual().await;
    let poison = json!([{"operation": "metric_import", "project": "shop", "environment": "test",
        "body_contains": "\"key\":\"bad\"", "action": {"kind": "status", "status": 400}}]);
    served.set_faults(poison).await;
    assert_eq!(served.send(ID, body("bad", 1)).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(served.send(ID, body("good", 1)).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_delayed_answer_comes_late_and_the_events_at_once() {
    let served = Served::usual().await;
    served.set_faults(json!([{"action": {"kind": "delay", "ms": 3_600_000}}])).await;
    let mut waiting = JoinSet::new();
    waiting.spawn(served.import().body(body("paid", 1)).send());
    served.wait_for("events_accepted", json!(1)).await;
    assert!(waiting.try_join_next().is_none(), "still waiting");
    // Stopping ends the wait with the answer that was decided.
    served.stop().await;
    let answer = waiting.join_next().await.expect("one").expect("no panic").expect("an answer");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_hanging_request_is_never_answered() {
    let served = Served::usual().await;
    served.set_faults(json!([{"action": {"kind": "hang"}}])).await;
    let mut waiting = JoinSet::new();
    waiting.spawn(served.import().body(body("paid", 1)).send());
    served.wait_for("requests", json!(1)).await;
    assert!(waiting.try_join_next().is_none(), "still waiting");
    assert_eq!(served.journal().await["events_accepted"], 0);
    served.stop().await;
    waiting.join_next().await.expect("one").expect("no panic").expect_err("no answer");
}

#[tokio::test]
async fn an_upload_that_never_ends_does_not_keep_the_sandbox_open() {
    use std::io::Write;
    let served = Served::usual().await;
    let address = served.base.trim_start_matches("http://").to_owned();
    let mut wire = std::net::TcpStream::connect(address).expect("connects");
    let head = format!("POST {IMPORT} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[");
    wire.write_all(head.as_bytes()).expect("writes");
    served.journal().await;
    served.stop().await;
}

#[tokio::test]
async fn rules_show_what_is_left_of_them_and_can_be_cleared() {
    let served = Served::usual().await;
    served.set_faults(json!([{"times": 2, "action": {"kind": "status", "status": 500}}])).await;
    served.send(ID, "[]").await;
    let rules = served.get("/sandbox/faults").await;
    assert_eq!(rules[0]["remaining"], 1);
    assert_eq!(rules[0]["applied"], 1);
    let cleared = served.request(Method::DELETE, "/sandbox/faults").send().await;
    assert_eq!(cleared.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(served.get("/sandbox/faults").await, json!([]));
    assert_eq!(served.send(ID, "[]").await.status(), StatusCode::ACCEPTED);
}
