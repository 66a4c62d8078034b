//! The metric import: each answer of the documentation, and what it leaves in the journal.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(plain: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

#[tokio::test]
async fn good_events_are_accepted_and_count_m1() {
    let served = Served::usual().await;
    let answer = served.send(ID, body("paid", 3)).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let journal = served.journal().await;
    assert_eq!(journal["events_counted"], 3);
    assert_eq!(journal["by_event_key"]["paid"], json!({"accepted": 3, "counted": 3}));
    assert_eq!(journal["requests_by_status"], json!({"202": 1}));
    assert!(journal["first_accepted_at_ms"].is_u64());
}

#[tokio::test]
async fn malformed_events_are_accepted_and_do_not_count() {
    let served = Served::usual().await;
    let mut lost = event("paid", 1);
    lost["contextKeys"] = json!({});
    let body = json!([event("paid", 1), lost]).to_string();
    assert_eq!(served.send(ID, body).await.status(), StatusCode::ACCEPTED);
    let journal = served.journal().await;
    assert_eq!(journal["events_accepted"], 2);
    assert_eq!(journal["events_counted"], 1);
    assert_eq!(journal["malformed_by_reason"], json!({"context_keys_empty": 1}));
    let events = served.get("/sandbox/events").await;
    assert_eq!(events["events"][1]["counts"], false);
    assert_eq!(events["events"][1]["reason"], "context_keys_empty");
    assert_eq!(events["events"][0]["reason"], Value::Null);
}

#[tokio::test]
async fn a_refused_body_leaves_nothing_m1() {
    let served = Served::usual().await;
    let mut click = event("paid", 1);
    click["kind"] = json!("click");
    for body in ["{}".to_owned(), "[".to_owned(), json!([event("paid", 1), click]).to_string()] {
        let answer = served.send(ID, body).await;
        assert_eq!(error_of(answer).await, (400, "invalid_request".to_owned()));
    }
    let journal = served.journal().await;
    assert_eq!(journal["events_accepted"], 0);
    assert_eq!(journal["payload_ids_known"], 0, "a refused request is no first");
    assert_eq!(journal["requests_by_status"], json!({"400": 3}));
}

#[tokio::test]
async fn tokens_are_raw_and_must_be_known() {
    let served = Served::usual().await;
    let bearer = format!("Bearer {DEFAULT_TOKEN}");
    for token in [None, Some("wrong"), Some(bearer.as_str()), Some("")] {
        let request = served.request(Method::POST, IMPORT);
        let request =
            token.into_iter().fold(request, |it, token| it.header("authorization", token));
        let answer = request.body("[]").send().await.expect("an answer");
        assert_eq!(error_of(answer).await, (401, "unauthorized".to_owned()), "{token:?}");
    }
}

#[tokio::test]
async fn a_wrong_or_missing_header_is_answered_with_its_own_status() {
    let served = Served::usual().await;
    let cases = [
        ("x-launchdarkly-event-schema", Some("3"), 406),
        ("x-launchdarkly-event-schema", None, 406),
        ("content-type", Some("text/plain"), 415),
        ("content-type", None, 415),
        ("content-type", Some("application/json; charset=utf-8"), 202),
        ("content-encoding", Some("br"), 415),
        ("user-agent", None, 400),
        ("x-launchdarkly-payload-id", Some("17"), 400),
        ("x-launchdarkly-payload-id", Some("6e0f5c0e2a555b0b9c0d6a1d4b0f7a11"), 400),
        ("x-launchdarkly-payload-id", Some(ID), 202),
    ];
    for (header, value, status) in cases {
        let mut request = served.import().body(body("paid", 1)).build().expect("request");
        request.headers_mut().remove(header);
        if let Some(value) = value {
            request.headers_mut().insert(header, value.parse().expect("value"));
        }
        let answer = served.client.execute(request).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{header}: {value:?}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_refused_for_want_of_a_length() {
    let served = Served::usual().await;
    let address = served.base.trim_start_matches("http://").to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let mut wire = std::net::TcpStream::connect(&address).expect("connects");
        wire.set_read_timeout(Some(DEADLINE)).expect("sets");
        let head = format!(
            "POST {IMPORT} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {DEFAULT_TOKEN}\r\n\
             X-LaunchDarkly-Event-Schema: 4\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
        );
        wire.write_all(head.as_bytes()).expect("writes");
        let mut answer = String::new();
        wire.read_to_string(&mut answer).expect("reads");
        answer
    });
    let answer = asked.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
}

#[tokio::test]
async fn size_is_measured_uncompressed() {
    let content = body("paid", 50);
    let just_enough = Settings { max_body_bytes: content.len(), ..Settings::default() };
    let served = Served::start(just_enough).await;
    assert_eq!(served.send(ID, content.clone()).await.status(), StatusCode::ACCEPTED);
    let too_much = format!("{content} ");
    let plain = served.send(ID, too_much.clone()).await;
    assert_eq!(error_of(plain).await, (413, "invalid_request".to_owned()));
    let packed = served.import().header("content-encoding", "gzip").body(gzip(&too_much));
    assert_eq!(packed.send().await.expect("an answer").status().as_u16(), 413);
}

#[tokio::test]
async fn a_packed_body_is_the_same_content_as_a_plain_one() {
    let served = Served::usual().await;
    let content = body("paid", 100);
    let packed = gzip(&content);
    let wire_bytes = packed.len();
    let request = served.import().header("content-encoding", "gzip");
    let request = request.header("x-launchdarkly-payload-id", ID).body(packed);
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::ACCEPTED);
    let journal = served.journal().await;
    assert_eq!(journal["bytes_wire"], wire_bytes);
    assert_eq!(journal["bytes_uncompressed"], content.len());
    assert_eq!(served.send(ID, content).await.status(), StatusCode::ACCEPTED);
    assert_eq!(served.journal().await["repeats_dropped"], 1);
    let requests = served.get("/sandbox/requests").await;
    assert_eq!(requests["requests"][0]["gzip"], true);
    assert_eq!(requests["requests"][1]["gzip"], false);
}

#[tokio::test]
async fn a_repeat_is_accepted_and_dropped() {
    let served = Served::usual().await;
    for _ in 0..3 {
        assert_eq!(served.send(ID, body("paid", 2)).await.status(), StatusCode::ACCEPTED);
    }
    let journal = served.journal().await;
    assert_eq!(journal["events_accepted"], 2);
    assert_eq!(journal["repeats_dropped"], 2);
    assert_eq!(journal["events_repeated"], 4);
    assert_eq!(journal["payload_id_conflicts"], 0);
}

#[tokio::test]
async fn other_content_under_the_same_id_counts_and_is_flagged() {
    let served = Served::usual().await;
    served.send(ID, body("paid", 2)).await;
    served.send(ID, body("paid", 3)).await;
    let journal = served.journal().await;
    assert_eq!(journal["events_accepted"], 5);
    assert_eq!(journal["payload_id_conflicts"], 1);
    assert_eq!(journal["repeats_dropped"], 0);
}

#[tokio::test]
async fn of_equal_requests_at_the_same_time_one_is_new_r1() {
    let served = Served::usual().await;
    let mut racing = JoinSet::new();
    for _ in 0..20 {
        let request = served.import().header("x-launchdarkly-payload-id", ID);
        racing.spawn(request.body(body("paid", 10)).send());
    }
    for answer in racing.join_all().await {
        assert_eq!(answer.expect("an answer").status(), StatusCode::ACCEPTED);
    }
    let journal = served.journal().await;
    assert_eq!(journal["events_accepted"], 10);
    assert_eq!(journal["repeats_dropped"], 19);
}

#[tokio::test]
async fn only_known_environments_exist_if_some_are_named() {
    let environments = Some(vec![("shop".to_owned(), "test".to_owned())]);
    let served = Served::start(Settings { environments, ..Settings::default() }).await;
    assert_eq!(served.send(ID, "[]").await.status(), StatusCode::ACCEPTED);
    let elsewhere = served
        .request(Method::POST, "/v2/event-data-import/shop/production")
        .header("authorization", DEFAULT_TOKEN);
    let answer = elsewhere.body("[]").send().await.expect("an answer");
    assert_eq!(error_of(answer).await, (404, "not_found".to_owned()));
}
