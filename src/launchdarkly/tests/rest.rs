//! What every REST request carries and what its refusals become.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;

use super::{NOW_MS, Prepared, Server, TOKEN, answer, client, target};
use crate::launchdarkly::answer::{ApiError, ErrorClass};
use crate::launchdarkly::hints::RateLimit;
use crate::launchdarkly::metrics::MetricsClient;
use crate::launchdarkly::rest::RestClient;

/// What a read becomes when it is answered so.
async fn read(prepared: Prepared) -> Result<bool, ApiError> {
    let server = Server::with([prepared]).await;
    let answer = MetricsClient::new(server.client()).get("m").await;
    answer.map(|answered| answered.value.is_some())
}

#[tokio::test]
async fn every_request_is_signed_and_names_its_version() {
    let server = Server::with([answer(200, json!({"key": "m"}))]).await;
    MetricsClient::new(server.client()).get("m").await.unwrap();
    let seen = server.only();
    assert_eq!(seen.line, "GET /api/v2/metrics/store%20front/m");
    assert_eq!(seen.header("authorization"), TOKEN);
    assert_eq!(seen.header("ld-api-version"), "20240415");
    let agent = concat!("ldsink/", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen.header("user-agent"), agent);
    assert_eq!((seen.header("content-type"), seen.body.as_str()), ("", ""));
}

#[tokio::test]
async fn each_status_has_its_class_and_code() {
    for (status, code, class) in [
        (307, "moved", ErrorClass::Misconfigured),
        (400, "invalid_request", ErrorClass::Refused),
        (401, "unauthorized", ErrorClass::Misconfigured),
        (403, "forbidden", ErrorClass::Misconfigured),
        (405, "method_not_allowed", ErrorClass::Misconfigured),
        (409, "optimistic_locking_error", ErrorClass::Conflict),
        (422, "invalid_patch", ErrorClass::Refused),
        (429, "rate_limited", ErrorClass::Throttled),
        (500, "internal", ErrorClass::Unavailable),
        (503, "unavailable", ErrorClass::Unavailable),
    ] {
        let error = read(answer(status, json!({"code": code, "message": "why", "id": "x"}))).await;
        let error = error.unwrap_err();
        assert_eq!((error.class, error.status), (class, Some(status)));
        assert_eq!(error.code.as_deref(), Some(code));
        assert_eq!(error.to_string(), format!("{class}: {code}: why"));
    }
}

#[tokio::test]
async fn refusals_in_other_forms_are_shown_as_they_are() {
    let (long, shortened) = ("x".repeat(5_000), "x".repeat(512));
    for (body, code, detail) in [
        (String::new(), None, "the answer has no body"),
        ("bad\ngateway".to_owned(), None, "bad gateway"),
        (r#"{"message":"why"}"#.to_owned(), None, "why"),
        (r#"{"code":"odd"}"#.to_owned(), Some("odd"), "odd"),
        (r#"{"error":1}"#.to_owned(), None, r#"{"error":1}"#),
        (long.clone(), None, &shortened),
        (format!(r#"{{"code":"{}","message":"why"}}"#, &shortened), None, "why"),
        (format!(r#"{{"code":"c","message":"{TOKEN}!"}}"#), Some("c"), "c: [token]!"),
    ] {
        let error = read(answer(400, body)).await.unwrap_err();
        assert_eq!((error.code.as_deref(), error.detail.as_str()), (code, detail));
    }
}

#[tokio::test]
async fn a_required_approval_comes_with_a_remedy() {
    let body = json!({"code": "forbidden", "message": "Approval is required for this"});
    let error = read(answer(403, body)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Misconfigured);
    assert!(error.detail.contains("bypassRequiredSegmentApproval"), "{error}");
}

#[tokio::test]
async fn limits_come_with_acceptance_and_with_refusal() {
    let headers = vec![
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("x-ratelimit-route-limit", "5"),
        ("x-ratelimit-route-remaining", "0"),
        ("x-ratelimit-reset", "1767225601500"),
    ];
    let route = RateLimit {
        limit: Some(5),
        remaining: Some(0),
        reset_ms: Some(NOW_MS + 1_500),
        reset_in: Some(Duration::from_millis(1_500)),
    };
    let accepted = Prepared { headers: headers.clone(), ..answer(200, json!({"key": "m"})) };
    let absent = Prepared { headers: headers.clone(), ..answer(404, "") };
    let throttled = Prepared { headers, ..answer(429, "") };
    let server = Server::with([accepted, absent, throttled]).await;
    let metrics = MetricsClient::new(server.client());
    assert_eq!(metrics.get("m").await.unwrap().limits.route, route);
    assert_eq!(metrics.get("m").await.unwrap().limits.route, route);
    let error = metrics.get("m").await.unwrap_err();
    assert_eq!(error.limits.route, route);
    assert_eq!(error.hint, Some(Duration::from_millis(1_500)));
}

#[tokio::test]
async fn something_else_at_the_address_is_no_success() {
    let page = vec![("content-type", "text/html; charset=utf-8")];
    for prepared in [
        Prepared { headers: page, ..answer(200, "<html>") },
        answer(200, "welcome"),
        answer(200, ""),
        answer(200, json!(["no", "object"])),
    ] {
        let error = read(prepared.clone()).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Misconfigured, "{prepared:?}");
        assert_eq!(error.status, Some(200));
        assert!(!error.detail.contains("no\", \"object"), "{error}");
    }
}

#[tokio::test]
async fn no_answer_is_a_network_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let error = MetricsClient::new(client(&url)).get("m").await.unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Network, None));
    assert!(error.detail.starts_with("no connection: "), "{error}");
}

#[tokio::test]
async fn a_key_that_is_no_part_of_a_path_is_refused_unsent() {
    let server = Server::with([]).await;
    for key in ["", ".", ".."] {
        let error = MetricsClient::new(server.client()).get(key).await.unwrap_err();
        assert_eq!((error.class, error.status), (ErrorClass::Refused, None));
    }
    assert!(server.seen().is_empty());
}

#[test]
fn a_target_that_cannot_be_addressed_is_refused_at_start() {
    let made = |target| RestClient::new(&target, Duration::from_secs(1), || 0).map(drop);
    let mut targets = [target("no url"), target("mailto:a@b"), target("https://a")];
    "..".clone_into(&mut targets[2].environment);
    for target in targets {
        let error = made(target).unwrap_err().to_string();
        assert!(error.contains("`production`") && error.contains("`api_url`"), "{error}");
    }
    let mut unsendable = target("https://a");
    unsendable.access_token = SecretString::from("api\nsecret");
    let error = made(unsendable).unwrap_err().to_string();
    assert!(error.contains("access_token") && !error.contains("secret"), "{error}");
    assert!(!format!("{:?}", client("https://a")).contains(TOKEN));
}
