//! Limits, tokens, paging and reset over the wire.

use super::super::JournalMode;
use super::*;

/// A window that no test can see the end of.
const ENDLESS_MS: u64 = 1_000_000_000_000_000;

#[tokio::test]
async fn limits_refuse_what_is_too_much_and_say_where_the_client_stands() {
    let served = Served::usual().await;
    let limits = json!({"limits": [
        {"scope": "global", "limit": 3, "window_ms": ENDLESS_MS},
        {"scope": "token", "limit": 2, "window_ms": ENDLESS_MS},
    ]});
    let set: Value = served.put("/sandbox/limits", &limits).await.json().await.expect("json");
    assert_eq!(set["hint"], "ratelimit_headers");
    assert_eq!(set["limits"][1]["scope"], "token");
    for left in ["1", "0"] {
        let answer = served.send(ID, "[]").await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(answer.headers()["x-ratelimit-auth-token-remaining"], left);
        assert_eq!(answer.headers()["x-ratelimit-reset"], ENDLESS_MS.to_string());
    }
    let refused = served.send(ID, "[]").await;
    assert_eq!(refused.headers()["x-ratelimit-auth-token-remaining"], "0");
    assert_eq!(refused.headers()["x-ratelimit-global-remaining"], "1");
    assert_eq!(error_of(refused).await, (429, "rate_limited".to_owned()));
}

#[tokio::test]
async fn a_limit_can_hint_by_retry_after_or_not_at_all() {
    let served = Served::usual().await;
    for (hint, hinted) in [("retry_after", true), ("none", false)] {
        let limit = json!({"scope": "route", "operation": "metric_import", "limit": 0,
            "window_ms": ENDLESS_MS});
        served.put("/sandbox/limits", &json!({"hint": hint, "limits": [limit]})).await;
        let refused = served.send(ID, "[]").await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers().contains_key("retry-after"), hinted, "{hint}");
        assert!(!refused.headers().contains_key("x-ratelimit-reset"), "{hint}");
    }
    served.put("/sandbox/limits", &json!({})).await;
    assert_eq!(served.send(ID, "[]").await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn tokens_can_be_revoked_and_given_back_and_never_read_j2_o1() {
    let served = Served::usual().await;
    for (tokens, status) in [
        (json!({"tokens": []}), StatusCode::UNAUTHORIZED),
        (json!({"tokens": ["other", DEFAULT_TOKEN]}), StatusCode::ACCEPTED),
        (json!({"tokens": ["other"]}), StatusCode::UNAUTHORIZED),
    ] {
        let set = served.put("/sandbox/tokens", &tokens).await;
        assert_eq!(set.status(), StatusCode::OK);
        let text = set.text().await.expect("text");
        assert!(!text.contains(DEFAULT_TOKEN), "{text}");
        assert_eq!(served.send(ID, "[]").await.status(), status, "{tokens}");
    }
    let requests = served.get("/sandbox/requests").await.to_string();
    assert!(!requests.contains(DEFAULT_TOKEN), "{requests}");
}

#[tokio::test]
async fn a_mistaken_instruction_is_refused_with_a_reason() {
    let served = Served::usual().await;
    let cases = [
        ("/sandbox/faults", json!([{"action": {"kind": "status", "status": 200}}])),
        ("/sandbox/faults", json!({"rules": []})),
        ("/sandbox/limits", json!({"limits": [{"scope": "global"}]})),
        ("/sandbox/tokens", json!(["a-token"])),
    ];
    for (path, instruction) in cases {
        let answer = served.put(path, &instruction).await;
        assert_eq!(error_of(answer).await, (400, "invalid_request".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn pages_of_events_and_requests_hold_everything_once() {
    let served = Served::usual().await;
    for (number, size) in [(1, 7), (2, 0), (3, 5)] {
        let id = format!("00000000-0000-0000-0000-{number:012}");
        served.send(&id, body(if number == 1 { "a" } else { "b" }, size)).await;
    }
    let mut values = Vec::new();
    let mut from = 1;
    loop {
        let page = served.get(&format!("/sandbox/events?from={from}&limit=5")).await;
        let events = page["events"].as_array().expect("array").clone();
        values.extend(events.iter().map(|row| row["event"]["metricValue"].as_u64().unwrap()));
        from = page["next"].as_u64().expect("number");
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(values, [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4]);
    assert_eq!(from, 13);

    let only_b = served.get("/sandbox/events?event_key=b&project=shop&environment=test").await;
    assert_eq!(only_b["events"].as_array().map(Vec::len), Some(5));
    assert_eq!(only_b["events"][0]["seq"], 8);
    assert_eq!(only_b["events"][0]["request"], 3);
    assert_eq!(only_b["events"][0]["event"], event("b", 0));

    let requests = served.get("/sandbox/requests?from=2&limit=1").await;
    assert_eq!(requests["requests"][0]["number"], 2);
    assert_eq!(requests["requests"][0]["user_agent"], "MetricImport-Test-int/1");
    assert_eq!((&requests["next"], &requests["more"]), (&json!(3), &json!(true)));
}

#[tokio::test]
async fn a_large_page_comes_in_one_piece() {
    let served = Served::usual().await;
    served.send(ID, body("paid", 12_000)).await;
    let page = served.get("/sandbox/events?limit=12000").await;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(12_000));
    assert_eq!((&page["next"], &page["more"]), (&json!(12_001), &json!(false)));
}

#[tokio::test]
async fn a_reset_starts_over() {
    let served = Served::usual().await;
    served.send(ID, body("paid", 2)).await;
    let reset = served.request(Method::DELETE, "/sandbox/journal").send().await;
    assert_eq!(reset.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(served.journal().await["requests"], 0);
    served.send(ID, body("paid", 2)).await;
    assert_eq!(served.journal().await["events_accepted"], 2);
    assert_eq!(served.get("/sandbox/events").await["events"][0]["seq"], 1);
}

#[tokio::test]
async fn a_counting_journal_shows_sums_only() {
    let settings = Settings { journal: JournalMode::Counts, ..Settings::default() };
    let served = Served::start(settings).await;
    served.send(ID, body("paid", 2)).await;
    assert_eq!(served.journal().await["mode"], "counts");
    assert_eq!(served.journal().await["events_counted"], 2);
    for path in ["/sandbox/events", "/sandbox/requests"] {
        let answer = served.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(error_of(answer).await, (409, "conflict".to_owned()), "{path}");
    }
}
