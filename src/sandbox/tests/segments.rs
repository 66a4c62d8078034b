//! Segments over the wire: creation, reading, lists, deletion, and what the sandbox tells of them.

use super::*;

const SEGMENTS: &str = "/api/v2/segments/shop/test";
const VIP: &str = "/api/v2/segments/shop/test/vip";
const SHOWN: &str = "/sandbox/segments/shop/test/vip";

#[tokio::test]
async fn a_standard_segment_is_answered_with_its_lists() {
    let served = Served::usual().await;
    let body = json!({"key": "vip", "name": "VIP", "description": "d", "tags": ["a"],
        "included": ["ignored at creation"]});
    let created = served.write(Method::POST, SEGMENTS, body, 201).await;
    assert_eq!(created, served.read(VIP).await);
    for (field, value) in [
        ("key", json!("vip")),
        ("name", json!("VIP")),
        ("description", json!("d")),
        ("tags", json!(["a"])),
        ("included", json!([])),
        ("excluded", json!([])),
        ("includedContexts", json!([])),
        ("rules", json!([])),
        ("version", json!(1)),
        ("generation", json!(1)),
        ("deleted", json!(false)),
        ("unbounded", json!(false)),
        ("_unboundedMetadata", Value::Null),
    ] {
        assert_eq!(created[field], value, "{field}");
    }
    assert_eq!(created["_links"]["self"]["href"], VIP);
    let shown = served.get(SHOWN).await;
    assert_eq!((&shown["kind"], &shown["included"]), (&json!("standard"), &json!({})));
}

#[tokio::test]
async fn a_big_segment_tells_counts_instead_of_members() {
    let served = Served::usual().await;
    let body = json!({"key": "vip", "name": "VIP", "unbounded": true});
    let created = served.write(Method::POST, SEGMENTS, body, 201).await;
    assert_eq!(created["unbounded"], true);
    assert_eq!(created["unboundedContextKind"], "user");
    for field in ["included", "excluded", "includedContexts", "excludedContexts"] {
        assert_eq!(created[field], Value::Null, "{field}");
    }
    let metadata = &created["_unboundedMetadata"];
    assert_eq!((&metadata["includedCount"], &metadata["excludedCount"]), (&json!(0), &json!(0)));
    let id = served.get("/sandbox/client-side-ids/shop/test").await;
    assert_eq!(metadata["envId"], id["client_side_id"]);
    let devices =
        json!({"key": "d", "name": "D", "unbounded": true, "unboundedContextKind": "device"});
    let created = served.write(Method::POST, SEGMENTS, devices, 201).await;
    assert_eq!(created["unboundedContextKind"], "device");
}

#[tokio::test]
async fn creation_needs_a_key_and_a_name() {
    let served = Served::usual().await;
    for body in [
        json!({"name": "VIP"}),
        json!({"key": "vip"}),
        json!({"key": "", "name": "VIP"}),
        json!({"key": "v i p", "name": "VIP"}),
        json!({"key": "vip", "name": ""}),
        json!({"key": "vip", "name": "VIP", "unbounded": "yes"}),
        json!({"key": "vip", "name": "VIP", "tags": [1]}),
        json!([]),
    ] {
        served.refuse(Method::POST, SEGMENTS, body, 400, "invalid_request").await;
    }
}

#[tokio::test]
async fn a_key_is_taken_once_and_its_generations_are_counted() {
    let served = Served::usual().await;
    let body = json!({"key": "vip", "name": "VIP", "unbounded": true});
    served.write(Method::POST, SEGMENTS, body.clone(), 201).await;
    served.refuse(Method::POST, SEGMENTS, body.clone(), 409, "key_exists").await;
    served.write(Method::POST, "/api/v2/segments/shop/production", body.clone(), 201).await;
    served
        .write(Method::POST, &format!("{VIP}/contexts"), json!({"included": {"add": ["a"]}}), 204)
        .await;
    served.write(Method::DELETE, VIP, Value::Null, 204).await;
    for method in [Method::GET, Method::DELETE] {
        served.refuse(method, VIP, Value::Null, 404, "not_found").await;
    }
    let missing = served.request(Method::GET, SHOWN).send().await.expect("an answer");
    assert_eq!(error_of(missing).await, (404, "not_found".to_owned()));
    let again = served.write(Method::POST, SEGMENTS, body, 201).await;
    assert_eq!((&again["generation"], &again["version"]), (&json!(2), &json!(1)));
    assert_eq!(again["_unboundedMetadata"]["includedCount"], 0);
    let history = served.get(&format!("{SHOWN}/history")).await;
    let effects: Vec<_> = (0..4).map(|index| history["changes"][index]["effect"].clone()).collect();
    assert_eq!(effects, ["created", "updated", "deleted", "created"]);
}

#[tokio::test]
async fn lists_are_paged_by_twenty_and_sorted() {
    let served = Served::usual().await;
    for number in 0..23 {
        let body = json!({"key": format!("s{number:02}"), "name": format!("n{}", 99 - number)});
        served.write(Method::POST, SEGMENTS, body, 201).await;
    }
    let first = served.read(SEGMENTS).await;
    assert_eq!(
        (first["items"].as_array().map(Vec::len), &first["totalCount"]),
        (Some(20), &json!(23))
    );
    let next = first["_links"]["next"]["href"].as_str().expect("more").to_owned();
    assert_eq!(served.read(&next).await["items"].as_array().map(Vec::len), Some(3));
    let sorted = served.read(&format!("{SEGMENTS}?sort=-creationDate,name&limit=200")).await;
    assert_eq!(sorted["items"].as_array().map(Vec::len), Some(23));
    let named = served.read(&format!("{SEGMENTS}?sort=name&limit=1")).await;
    assert_eq!(named["items"][0]["key"], "s22");
    for query in ["sort=colour", "limit=0", "limit=-1"] {
        let path = format!("{SEGMENTS}?{query}");
        served.refuse(Method::GET, &path, Value::Null, 400, "invalid_request").await;
    }
}

#[tokio::test]
async fn the_sandbox_tells_all_segments_and_forgets_them_on_request() {
    let served = Served::usual().await;
    for (path, key) in [(SEGMENTS, "a"), (SEGMENTS, "b"), ("/api/v2/segments/shop/production", "a")]
    {
        served.write(Method::POST, path, json!({"key": key, "name": key}), 201).await;
    }
    let all = served.get("/sandbox/segments").await;
    let names: Vec<_> = all["segments"]
        .as_array()
        .expect("segments")
        .iter()
        .map(|it| json!([it["environment"], it["key"], it["included_count"], it["included"]]))
        .collect();
    assert_eq!(
        names,
        [
            json!(["production", "a", 0, null]),
            json!(["test", "a", 0, null]),
            json!(["test", "b", 0, null]),
        ]
    );
    let cleared = served.request(Method::DELETE, "/sandbox/segments").send().await;
    assert_eq!(cleared.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(served.read(SEGMENTS).await["totalCount"], 0);
}
