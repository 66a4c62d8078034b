//! What all REST operations share, over the wire: tokens, versions, faults, limits, the journal.

use super::*;

const SEGMENTS: &str = "/api/v2/segments/shop/test";
const VIP: &str = "/api/v2/segments/shop/test/vip";
const METRICS: &str = "/api/v2/metrics/shop";

fn big() -> Value {
    json!({"key": "vip", "name": "VIP", "unbounded": true})
}

/// One request for every operation, its path and body in a state where `vip` is a big segment.
fn every_operation() -> Vec<(&'static str, Method, String, Value)> {
    let metric = json!({"key": "m", "kind": "custom", "isNumeric": false, "eventKey": "e"});
    let patch = json!([{"op": "replace", "path": "/name", "value": "New"}]);
    let state = json!({"included": {"add": ["a"]}});
    let other = json!({"key": "other", "name": "O"});
    let get = |name, path: &str| (name, Method::GET, path.to_owned(), Value::Null);
    let send =
        |name, method, path: &str, body: &Value| (name, method, path.to_owned(), body.clone());
    vec![
        get("metric_list", METRICS),
        send("metric_create", Method::POST, METRICS, &metric),
        get("metric_get", "/api/v2/metrics/shop/m"),
        send("metric_update", Method::PATCH, "/api/v2/metrics/shop/m", &patch),
        send("metric_delete", Method::DELETE, "/api/v2/metrics/shop/m", &Value::Null),
        get("segment_list", SEGMENTS),
        send("segment_create", Method::POST, SEGMENTS, &other),
        get("segment_get", VIP),
        send("segment_update", Method::PATCH, VIP, &patch),
        send("segment_contexts", Method::POST, &format!("{VIP}/contexts"), &state),
        send("segment_users", Method::POST, &format!("{VIP}/users"), &state),
        get("segment_context_get", &format!("{VIP}/contexts/a")),
        get("segment_user_get", &format!("{VIP}/users/a")),
        send("segment_delete", Method::DELETE, VIP, &Value::Null),
    ]
}

#[tokio::test]
async fn every_operation_asks_for_the_token() {
    let served = Served::usual().await;
    for (operation, method, path, body) in every_operation() {
        let request = served.request(method, &path).header("authorization", "api-wrong");
        let answer = request.body(body.to_string()).send().await.expect("an answer");
        assert_eq!(error_of(answer).await, (401, "unauthorized".to_owned()), "{operation}");
    }
}

#[tokio::test]
async fn every_operation_has_a_name_for_faults_and_in_the_journal() {
    let served = Served::usual().await;
    served.write(Method::POST, SEGMENTS, big(), 201).await;
    for (operation, method, path, body) in every_operation() {
        served
            .set_faults(
                json!([{"operation": operation, "times": 1, "action": {"kind": "conflict"}}]),
            )
            .await;
        let code = "optimistic_locking_error";
        served.refuse(method.clone(), &path, body.clone(), 409, code).await;
        let (status, answer) = served.ask(method, &path, body).await;
        assert!((200..300).contains(&status), "{operation}: {status} {answer}");
    }
    let journal = served.journal().await;
    for (operation, ..) in every_operation() {
        let expected = if operation == "segment_create" { 3 } else { 2 };
        assert_eq!(journal["requests_by_operation"][operation], expected, "{operation}");
    }
    let requests = served.get("/sandbox/requests?from=2&limit=1").await;
    let entry = &requests["requests"][0];
    assert_eq!((&entry["operation"], &entry["path"]), (&json!("metric_list"), &json!(METRICS)));
    assert_eq!((&entry["status"], &entry["faults"]), (&json!(409), &json!(["conflict"])));
    assert_eq!(entry["api_version"], "20240415");
}

#[tokio::test]
async fn a_fault_can_be_for_one_segment() {
    let served = Served::usual().await;
    served.write(Method::POST, SEGMENTS, big(), 201).await;
    let rule = json!([{"operation": "segment_get", "project": "shop", "environment": "test",
        "key": "vip", "action": {"kind": "status", "status": 500}}]);
    served.set_faults(rule).await;
    served.refuse(Method::GET, VIP, Value::Null, 500, "internal_error").await;
    served.refuse(Method::GET, &format!("{SEGMENTS}/vip2"), Value::Null, 404, "not_found").await;
    served.read(SEGMENTS).await;
}

#[tokio::test]
async fn a_cut_after_acceptance_keeps_the_change_v2() {
    let served = Served::usual().await;
    served
        .set_faults(json!([{"operation": "segment_create", "times": 1,
        "action": {"kind": "cut_after_accept"}}]))
        .await;
    let body = big().to_string();
    let request = served.rest(Method::POST, SEGMENTS).header("content-type", "application/json");
    request.body(body).send().await.expect_err("no answer");
    served.refuse(Method::POST, SEGMENTS, big(), 409, "key_exists").await;
    let history = served.get("/sandbox/segments/shop/test/vip/history").await;
    assert_eq!(history["changes"][0]["request"], 1);
}

#[tokio::test]
async fn limits_count_operations_and_say_where_the_client_stands() {
    let served = Served::usual().await;
    let endless = 1_000_000_000_000_000_u64;
    let limits = json!({"limits": [
        {"scope": "global", "limit": 100, "window_ms": endless},
        {"scope": "route", "operation": "segment_list", "limit": 1, "window_ms": endless},
        {"scope": "token", "limit": 50, "window_ms": endless},
    ]});
    served.put("/sandbox/limits", &limits).await;
    let answer = served.rest(Method::GET, SEGMENTS).send().await.expect("an answer");
    for (header, value) in [
        ("x-ratelimit-global-remaining", "99"),
        ("x-ratelimit-route-remaining", "0"),
        ("x-ratelimit-auth-token-remaining", "49"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(answer.headers()[header], value, "{header}");
    }
    served.refuse(Method::GET, SEGMENTS, Value::Null, 429, "rate_limited").await;
    served.read(METRICS).await;
}

#[tokio::test]
async fn the_api_version_is_noted_where_it_is_missing_and_checked_where_it_is_not() {
    let served = Served::usual().await;
    let bare = served.request(Method::GET, METRICS).header("authorization", DEFAULT_TOKEN);
    assert_eq!(bare.send().await.expect("an answer").status(), StatusCode::OK);
    assert_eq!(served.journal().await["notes"], json!({"api_version_missing": 1}));
    for (version, status) in [("20240415", 200), ("beta", 200), ("20220603", 400), ("", 400)] {
        let request = served.request(Method::GET, METRICS).header("authorization", DEFAULT_TOKEN);
        let answer = request.header("ld-api-version", version).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{version:?}");
    }
    assert_eq!(served.journal().await["notes"], json!({"api_version_missing": 1}));
}

#[tokio::test]
async fn only_known_projects_and_environments_exist_if_some_are_named() {
    let environments = Some(vec![("shop".to_owned(), "test".to_owned())]);
    let served = Served::start(Settings { environments, ..Settings::default() }).await;
    served.read(METRICS).await;
    served.read(SEGMENTS).await;
    for (_, method, path, body) in every_operation() {
        let elsewhere = path.replace("/shop", "/nowhere");
        served.refuse(method, &elsewhere, body, 404, "not_found").await;
    }
    let other = SEGMENTS.replace("test", "production");
    served.refuse(Method::POST, &other, big(), 404, "not_found").await;
}

#[tokio::test]
async fn bodies_are_plain_json_of_a_bounded_size() {
    let served = Served::start(Settings { max_body_bytes: 100, ..Settings::default() }).await;
    let answers = [
        (("content-type", "text/plain"), big().to_string(), 400),
        (("content-encoding", "gzip"), big().to_string(), 400),
        (("x-other", "x"), "{".to_owned(), 400),
        (("x-other", "x"), " ".repeat(101), 413),
        (("x-other", "x"), big().to_string(), 201),
    ];
    for ((header, value), body, status) in answers {
        let mut request = served.rest(Method::POST, SEGMENTS).body(body).build().expect("request");
        request.headers_mut().insert("content-type", "application/json".parse().expect("value"));
        request.headers_mut().insert(header, value.parse().expect("value"));
        let answer = served.client.execute(request).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{header}: {value}");
    }
}

#[tokio::test]
async fn forgetting_the_journal_keeps_metrics_and_segments() {
    let served = Served::usual().await;
    served.write(Method::POST, SEGMENTS, big(), 201).await;
    let reset = served.request(Method::DELETE, "/sandbox/journal").send().await;
    assert_eq!(reset.expect("an answer").status(), StatusCode::NO_CONTENT);
    let history = served.get("/sandbox/segments/shop/test/vip/history").await;
    assert_eq!(history["changes"], json!([]));
    served.write(Method::DELETE, VIP, Value::Null, 204).await;
    let history = served.get("/sandbox/segments/shop/test/vip/history").await;
    assert_eq!(
        (&history["changes"][0]["request"], &history["changes"][0]["seq"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn a_caller_is_told_who_they_are_and_nothing_secret() {
    let served = Served::usual().await;
    let answer = served.read("/api/v2/caller-identity").await;
    assert_eq!((&answer["tokenName"], &answer["serviceToken"]), (&json!("sandbox"), &json!(true)));
    assert!(!answer.to_string().contains(DEFAULT_TOKEN), "{answer}");
    let stranger = served.request(Method::GET, "/api/v2/caller-identity");
    let answer = stranger.header("authorization", "api-wrong").send().await.expect("an answer");
    assert_eq!(error_of(answer).await, (401, "unauthorized".to_owned()));
    assert_eq!(served.journal().await["requests_by_operation"]["caller_identity"], 2);
}

#[tokio::test]
async fn a_token_with_limits_may_do_what_is_listed_and_is_told_so() {
    let served = Served::usual().await;
    served.write(Method::POST, SEGMENTS, big(), 201).await;
    let actions = json!(["viewProject", "updateIncluded"]);
    let tokens = json!({"tokens": [{"token": DEFAULT_TOKEN, "actions": actions}]});
    assert_eq!(served.put("/sandbox/tokens", &tokens).await.status(), StatusCode::OK);
    let contexts = format!("{VIP}/contexts");
    let include = json!({"included": {"add": ["a"]}});
    served.write(Method::POST, &contexts, include, 204).await;
    let both = json!({"included": {"add": ["b"]}, "excluded": {"remove": ["b"]}});
    served.refuse(Method::POST, &contexts, both, 403, "forbidden").await;
    let metric = json!({"key": "m", "kind": "custom", "isNumeric": false, "eventKey": "m"});
    served.refuse(Method::POST, METRICS, metric, 403, "forbidden").await;
    assert_eq!(error_of(served.send(ID, "[]").await).await, (401, "unauthorized".to_owned()));
    let told = served.read(VIP).await;
    let names = |list: &str| -> Vec<String> {
        let list = told["_access"][list].as_array().expect("told").iter();
        list.map(|entry| entry["action"].as_str().expect("an action").to_owned()).collect()
    };
    assert_eq!(names("allowed"), ["updateIncluded"]);
    assert!(names("denied").contains(&"updateExcluded".to_owned()));
    served.read("/api/v2/caller-identity").await;
}
