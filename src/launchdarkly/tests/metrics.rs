//! Metric definitions on the wire.

use serde_json::{Map, Value, json};

use super::{Server, answer};
use crate::launchdarkly::answer::{Creation, ErrorClass, Written};
use crate::launchdarkly::definition::{Difference, difference};
use crate::launchdarkly::metrics::MetricsClient;

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn a_metric_is_there_or_not() {
    let metric = json!({"key": "a/b", "kind": "custom"});
    let absent = json!({"code": "not_found", "message": "Invalid resource identifier"});
    let server = Server::with([answer(200, &metric), answer(404, absent)]).await;
    let metrics = MetricsClient::new(server.client());
    assert_eq!(metrics.get("a/b").await.unwrap().value, Some(object(metric)));
    assert_eq!(server.only().line, "GET /api/v2/metrics/store%20front/a%2Fb");
    assert_eq!(metrics.get("a/b").await.unwrap().value, None);
}

#[tokio::test]
async fn a_creation_succeeds_meets_another_or_finds_no_project() {
    let desired = object(json!({"key": "m", "kind": "custom", "maintainerId": "5", "unit": null}));
    let made = json!({"key": "m", "kind": "custom", "_version": 1});
    let server = Server::with([
        answer(201, &made),
        answer(409, json!({"code": "key_exists", "message": "Duplicate"})),
        answer(409, json!({"code": "optimistic_locking_error", "message": "Conflict"})),
        answer(404, json!({"code": "not_found", "message": "Unknown project"})),
    ])
    .await;
    let metrics = MetricsClient::new(server.client());
    let created = metrics.create(&desired).await.unwrap();
    assert_eq!(created.value, Creation::Created(object(made)));
    let seen = server.only();
    assert_eq!(seen.line, "POST /api/v2/metrics/store%20front");
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.json(), json!({"key": "m", "kind": "custom"}));
    for _code in ["key_exists", "optimistic_locking_error"] {
        assert_eq!(metrics.create(&desired).await.unwrap().value, Creation::AlreadyThere);
    }
    let error = metrics.create(&desired).await.unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Misconfigured, Some(404)));
}

#[tokio::test]
async fn a_patch_is_a_bare_list() {
    let current = object(json!({"key": "m", "unit": "EUR"}));
    let desired = object(json!({"unit": "USD", "name": "N"}));
    let Difference::Patch(patch) = difference(&current, &desired) else { panic!("a patch") };
    let conflict = json!({"code": "optimistic_locking_error", "message": "Try again later."});
    let server =
        Server::with([answer(200, json!({})), answer(404, ""), answer(409, conflict)]).await;
    let metrics = MetricsClient::new(server.client());
    assert_eq!(metrics.patch("m", &patch).await.unwrap().value, Written::Done);
    let seen = server.only();
    assert_eq!(seen.line, "PATCH /api/v2/metrics/store%20front/m");
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(
        seen.json(),
        json!([
            {"op": "add", "path": "/name", "value": "N"},
            {"op": "replace", "path": "/unit", "value": "USD"},
        ])
    );
    assert_eq!(metrics.patch("m", &patch).await.unwrap().value, Written::Absent);
    let error = metrics.patch("m", &patch).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Conflict);
    assert_eq!(error.code.as_deref(), Some("optimistic_locking_error"));
}

#[tokio::test]
async fn pages_lead_to_the_end() {
    let page = |count: usize, total: Value| {
        answer(200, json!({"items": vec![json!({"key": "m"}); count], "totalCount": total}))
    };
    let server = Server::with([
        page(50, json!(120)),
        page(20, json!(120)),
        page(50, Value::Null),
        page(3, Value::Null),
        page(0, json!(120)),
    ])
    .await;
    let metrics = MetricsClient::new(server.client());
    for (offset, items, next) in
        [(0, 50, Some(50)), (100, 20, None), (50, 50, Some(100)), (100, 3, None), (60, 0, None)]
    {
        let page = metrics.list(offset).await.unwrap().value;
        assert_eq!((page.items.len(), page.next), (items, next));
        let query = format!("limit=50&offset={offset}&sort=createdAt");
        assert_eq!(server.only().line, format!("GET /api/v2/metrics/store%20front?{query}"));
    }
}
