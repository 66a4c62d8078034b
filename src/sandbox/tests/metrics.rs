//! Metric definitions over the wire.

use super::*;

const METRICS: &str = "/api/v2/metrics/shop";
const PAID: &str = "/api/v2/metrics/shop/paid";

fn conversion(key: &str) -> Value {
    json!({"key": key, "kind": "custom", "isNumeric": false, "eventKey": "order-paid"})
}

fn numeric(key: &str) -> Value {
    json!({"key": key, "kind": "custom", "isNumeric": true, "eventKey": "order-total",
        "successCriteria": "HigherThanBaseline", "unit": "EUR"})
}

/// Puts fields into an object; `null` takes one out.
fn with(mut body: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().expect("object") {
        let fields = body.as_object_mut().expect("object");
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    body
}

async fn create(served: &Served, body: Value) -> Value {
    served.write(Method::POST, METRICS, body, 201).await
}

async fn patch(served: &Served, patch: Value, status: u16) -> Value {
    served.write(Method::PATCH, PAID, patch, status).await
}

#[tokio::test]
async fn a_created_metric_is_answered_with_its_defaults() {
    let served = Served::usual().await;
    let created = create(&served, conversion("paid")).await;
    assert_eq!(created, served.read(PAID).await);
    for (field, value) in [
        ("name", json!("paid")),
        ("tags", json!([])),
        ("analysisUnits", json!(["user"])),
        ("randomizationUnits", json!(["user"])),
        ("eventDefault", json!({"disabled": false, "value": 0})),
        ("successCriteria", json!("HigherThanBaseline")),
        ("dataSource", json!({"key": "launchdarkly-hosted"})),
        ("archived", json!(false)),
        ("_version", json!(1)),
    ] {
        assert_eq!(created[field], value, "{field}");
    }
    assert_eq!(created["_links"]["self"]["href"], PAID);
    assert_eq!(created["_id"].as_str().map(str::len), Some(24));
    assert!(created["_creationDate"].is_u64() && created["_versionId"].is_string());
}

#[tokio::test]
async fn every_kind_can_be_created_and_unknown_fields_are_ignored() {
    let served = Served::usual().await;
    for body in [
        numeric("numeric"),
        with(
            numeric("percentile"),
            &json!({"analysisType": "percentile", "percentileValue": 95,
            "eventDefault": {"disabled": true}}),
        ),
        json!({"key": "page", "kind": "pageview", "urls": [
            {"kind": "substring", "substring": "/pricing"},
            {"kind": "regex", "pattern": "^/p"}]}),
        json!({"key": "click", "kind": "click", "selector": "#buy",
            "urls": [{"kind": "exact", "url": "https://shop.example/cart"}]}),
        json!({"key": "trace", "kind": "trace", "isNumeric": true, "traceQuery": "span.name=pay",
            "traceValueLocation": "duration", "successCriteria": "LowerThanBaseline"}),
        with(
            numeric("warehouse"),
            &json!({"unitAggregationType": "count_distinct",
            "unitAggregationField": "order_id", "dataSource": {"key": "snowflake"},
            "denominator": {"eventName": "sessions"}, "winsorLowerPercentile": 1,
            "winsorUpperPercentile": 99.5, "winsorIncludeImputed": true,
            "filters": {"type": "eventProperty", "attribute": "channel", "op": "in",
                "values": ["web"], "negate": false}}),
        ),
        with(conversion("odd"), &json!({"favouriteColour": "blue", "archived": true})),
    ] {
        let created = create(&served, body).await;
        assert_eq!(created["favouriteColour"], Value::Null);
        assert_eq!(created["archived"], false);
    }
    assert_eq!(served.read(METRICS).await["totalCount"], 7);
}

#[tokio::test]
async fn what_lacks_or_contradicts_itself_is_refused() {
    let served = Served::usual().await;
    let page = json!({"key": "a", "kind": "pageview", "urls": [{"kind": "exact", "url": "u"}]});
    let click = with(page.clone(), &json!({"kind": "click", "selector": "#a"}));
    let trace = json!({"key": "a", "kind": "trace", "isNumeric": false, "traceQuery": "q"});
    let percentile = with(
        numeric("a"),
        &json!({"analysisType": "percentile",
        "percentileValue": 95, "eventDefault": {"disabled": true}}),
    );
    let cases = [
        (conversion("a"), json!({"key": null})),
        (conversion("a"), json!({"key": "a b"})),
        (conversion("a"), json!({"kind": null})),
        (conversion("a"), json!({"kind": "other"})),
        (conversion("a"), json!({"isNumeric": null})),
        (conversion("a"), json!({"isNumeric": "yes"})),
        (conversion("a"), json!({"eventKey": null})),
        (conversion("a"), json!({"unit": "EUR"})),
        (conversion("a"), json!({"selector": "#a"})),
        (conversion("a"), json!({"tags": ["a", 1]})),
        (conversion("a"), json!({"name": ""})),
        (conversion("a"), json!({"successCriteria": "Higher"})),
        (conversion("a"), json!({"eventDefault": {"value": 1}})),
        (conversion("a"), json!({"dataSource": {"environmentKey": "test"}})),
        (conversion("a"), json!({"filters": {"type": "group", "op": "and", "values": []}})),
        (conversion("a"), json!({"unitAggregationType": "count_distinct"})),
        (conversion("a"), json!({"denominator": {"isNumeric": true}})),
        (numeric("a"), json!({"successCriteria": null})),
        (numeric("a"), json!({"urls": [{"kind": "exact", "url": "u"}]})),
        (numeric("a"), json!({"winsorLowerPercentile": 0})),
        (numeric("a"), json!({"winsorLowerPercentile": 60, "winsorUpperPercentile": 50})),
        (percentile.clone(), json!({"percentileValue": null})),
        (percentile.clone(), json!({"percentileValue": 101})),
        (percentile.clone(), json!({"percentileValue": 99.5})),
        (percentile, json!({"eventDefault": {"disabled": false}})),
        (click.clone(), json!({"selector": null})),
        (click.clone(), json!({"urls": null})),
        (click, json!({"eventKey": "e"})),
        (page.clone(), json!({"urls": []})),
        (page.clone(), json!({"urls": [{"kind": "regex", "url": "u"}]})),
        (page.clone(), json!({"selector": "#a"})),
        (page, json!({"successCriteria": "HigherThanBaseline"})),
        (trace.clone(), json!({"traceQuery": null})),
        (trace, json!({"isNumeric": true, "successCriteria": "HigherThanBaseline"})),
    ];
    for (body, changes) in cases {
        let body = with(body, &changes);
        served.refuse(Method::POST, METRICS, body, 400, "invalid_request").await;
    }
    for body in [json!([]), json!("metric")] {
        served.refuse(Method::POST, METRICS, body, 400, "invalid_request").await;
    }
    assert_eq!(served.read(METRICS).await["totalCount"], 0);
}

#[tokio::test]
async fn a_key_is_taken_once_until_it_is_deleted() {
    let served = Served::usual().await;
    create(&served, conversion("paid")).await;
    served.refuse(Method::POST, METRICS, conversion("paid"), 409, "key_exists").await;
    served.write(Method::POST, "/api/v2/metrics/other", conversion("paid"), 201).await;
    served.write(Method::DELETE, PAID, Value::Null, 204).await;
    for method in [Method::GET, Method::DELETE] {
        served.refuse(method, PAID, Value::Null, 404, "not_found").await;
    }
    served.refuse(Method::PATCH, PAID, json!([]), 404, "not_found").await;
    create(&served, conversion("paid")).await;
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_the_version() {
    let served = Served::usual().await;
    let first = create(&served, numeric("paid")).await;
    let changed = patch(
        &served,
        json!([
            {"op": "test", "path": "/_version", "value": 1},
            {"op": "test", "path": "/version", "value": 1},
            {"op": "replace", "path": "/unit", "value": "USD"},
            {"op": "add", "path": "/description", "value": "Order value"},
            {"op": "add", "path": "/tags/-", "value": "finance"},
            {"op": "replace", "path": "/eventDefault/disabled", "value": true},
            {"op": "replace", "path": "/randomizationUnits", "value": ["device"]},
            {"op": "replace", "path": "/archived", "value": true},
        ]),
        200,
    )
    .await;
    for (field, value) in [
        ("unit", json!("USD")),
        ("description", json!("Order value")),
        ("tags", json!(["finance"])),
        ("eventDefault", json!({"disabled": true})),
        ("analysisUnits", json!(["device"])),
        ("archived", json!(true)),
        ("_version", json!(2)),
        ("_id", first["_id"].clone()),
        ("version", Value::Null),
    ] {
        assert_eq!(changed[field], value, "{field}");
    }
    assert_ne!(changed["_versionId"], first["_versionId"]);
    let cleared = patch(&served, json!([{"op": "remove", "path": "/description"}]), 200).await;
    assert_eq!((&cleared["description"], &cleared["_version"]), (&Value::Null, &json!(3)));
    let same = json!([{"op": "replace", "path": "/unit", "value": "USD"}]);
    assert_eq!(patch(&served, same, 200).await["_version"], 3);
}

#[tokio::test]
async fn a_refused_patch_leaves_the_metric_as_it_was_g2() {
    let served = Served::usual().await;
    let before = create(&served, numeric("paid")).await;
    let rename = json!({"op": "replace", "path": "/name", "value": "New"});
    for wrong in [
        json!({"op": "replace", "path": "/key", "value": "other"}),
        json!({"op": "replace", "path": "/kind", "value": "click"}),
        json!({"op": "replace", "path": "/_version", "value": 9}),
        json!({"op": "add", "path": "/favouriteColour", "value": "blue"}),
        json!({"op": "replace", "path": "/description", "value": "there is none yet"}),
        json!({"op": "remove", "path": "/successCriteria"}),
        json!({"op": "replace", "path": "/analysisType", "value": "percentile"}),
        json!({"op": "replace", "path": "/tags", "value": "finance"}),
        json!({"op": "copy", "path": "/unit", "from": "/name"}),
        json!({"path": "/name", "value": "a"}),
    ] {
        let body = json!([rename, wrong]);
        served.refuse(Method::PATCH, PAID, body, 400, "invalid_request").await;
    }
    let wrapped = json!({"patch": [rename], "comment": "not for metrics"});
    served.refuse(Method::PATCH, PAID, wrapped, 400, "invalid_request").await;
    let outdated = json!([rename, {"op": "test", "path": "/_version", "value": 7}]);
    served.refuse(Method::PATCH, PAID, outdated, 409, "optimistic_locking_error").await;
    assert_eq!(served.read(PAID).await, before);
}

#[tokio::test]
async fn lists_are_paged_and_sorted() {
    let served = Served::usual().await;
    for number in 0..53 {
        let body = with(
            conversion(&format!("m{number:02}")),
            &json!({"name": format!("n{}", 99 - number)}),
        );
        create(&served, body).await;
    }
    let first = served.read(METRICS).await;
    assert_eq!(first["items"].as_array().map(Vec::len), Some(20));
    assert_eq!(first["totalCount"], 53);
    assert_eq!(first["items"][0]["key"], "m00");
    let next = first["_links"]["next"]["href"].as_str().expect("more").to_owned();
    assert_eq!(served.read(&next).await["items"][0]["key"], "m20");
    let last = served.read(&format!("{METRICS}?limit=50&offset=50&sort=name")).await;
    assert_eq!(last["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(last["items"][2]["key"], "m00");
    assert_eq!(last["_links"]["next"], Value::Null);
    assert_eq!(served.read(&format!("{METRICS}?sort=-createdAt&limit=1")).await["totalCount"], 53);
    for query in ["limit=51", "limit=0", "limit=x", "offset=-1", "sort=colour"] {
        let path = format!("{METRICS}?{query}");
        served.refuse(Method::GET, &path, Value::Null, 400, "invalid_request").await;
    }
    let filtered = format!("{METRICS}?filter=tags+contains+%5B%22a%22%5D");
    served.refuse(Method::GET, &filtered, Value::Null, 501, "not_implemented").await;
}

#[tokio::test]
async fn history_tells_every_accepted_change_with_its_request() {
    let served = Served::usual().await;
    create(&served, numeric("paid")).await;
    served.refuse(Method::POST, METRICS, numeric("paid"), 409, "key_exists").await;
    let rename = json!([{"op": "replace", "path": "/name", "value": "New"}]);
    patch(&served, rename.clone(), 200).await;
    patch(&served, rename, 200).await;
    let shown = served.get("/sandbox/metrics/shop/paid").await;
    assert_eq!((&shown["version"], &shown["definition"]["name"]), (&json!(2), &json!("New")));
    served.write(Method::DELETE, PAID, Value::Null, 204).await;

    let history = served.get("/sandbox/metrics/shop/paid/history").await;
    let told: Vec<_> = history["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|it| {
            json!([
                it["seq"],
                it["request"],
                it["operation"],
                it["effect"],
                it["changed"],
                it["version"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!([1, 1, "metric_create", "created", true, 1]),
            json!([2, 3, "metric_update", "updated", true, 2]),
            json!([3, 4, "metric_update", "updated", false, 2]),
            json!([4, 5, "metric_delete", "deleted", true, 2]),
        ]
    );
    assert_eq!(history["changes"][1]["definition"]["name"], "New");
    let page = served.get("/sandbox/metrics/shop/paid/history?from=2&limit=1").await;
    assert_eq!((&page["next"], &page["more"]), (&json!(3), &json!(true)));
    assert_eq!(served.get("/sandbox/metrics").await, json!({"metrics": []}));
}
