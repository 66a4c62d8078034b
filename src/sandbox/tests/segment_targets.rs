//! Partner integrations over the wire.

use super::super::ClientSideId;
use super::*;

const AMPLITUDE: &str = "/api/v2/segment-targets/amplitude";
const SHOWN: &str = "/sandbox/segments/shop/test/amplitude-vip";

async fn environment_id(served: &Served) -> String {
    let told = served.get("/sandbox/client-side-ids/shop/test").await;
    told["client_side_id"].as_str().expect("an id").to_owned()
}

fn batch(id: &str, keys: &[(&str, bool)]) -> Value {
    let item = |(key, value): &(&str, bool)| {
        json!({"userId": key, "cohortName": "VIP", "cohortId": "vip",
            "cohortUrl": "https://a.example/vip", "value": value})
    };
    json!({"environmentId": id, "batch": keys.iter().map(item).collect::<Vec<_>>()})
}

#[tokio::test]
async fn the_first_call_creates_the_segment_and_the_next_change_it() {
    let served = Served::usual().await;
    let id = environment_id(&served).await;
    served.write(Method::POST, AMPLITUDE, batch(&id, &[("a", true), ("b", true)]), 204).await;
    served.write(Method::POST, AMPLITUDE, batch(&id, &[("a", false), ("c", true)]), 204).await;
    let shown = served.get(SHOWN).await;
    assert_eq!(shown["included"], json!({"user": ["b", "c"]}));
    assert_eq!((&shown["kind"], &shown["integration"]), (&json!("synced"), &json!("amplitude")));
    let segment = served.read("/api/v2/segments/shop/test/amplitude-vip").await;
    for (field, value) in [
        ("name", "VIP"),
        ("_external", "amplitude"),
        ("_externalLink", "https://a.example/vip"),
        ("unboundedContextKind", "user"),
    ] {
        assert_eq!(segment[field], value, "{field}");
    }
    assert_eq!(segment["_unboundedMetadata"]["includedCount"], 2);
    let history = served.get(&format!("{SHOWN}/history")).await;
    assert_eq!(history["changes"][0]["effect"], "created");
    assert_eq!(history["changes"][0]["included"]["user"]["add"], json!(["a", "b"]));
    assert_eq!(history["changes"][1]["request"], 2);
    assert_eq!(history["changes"][1]["operation"], "segment_targets");
}

#[tokio::test]
async fn the_word_of_the_last_element_holds() {
    let served = Served::usual().await;
    let id = environment_id(&served).await;
    let keys = [("a", true), ("b", false), ("a", false), ("b", true)];
    served.write(Method::POST, AMPLITUDE, batch(&id, &keys), 204).await;
    assert_eq!(served.get(SHOWN).await["included"], json!({"user": ["b"]}));
    assert_eq!(served.journal().await["notes"], json!({"member_added_and_removed": 1}));
}

#[tokio::test]
async fn an_environment_is_found_by_its_configured_id() {
    let id = "5f0000000000000000000abc".to_owned();
    let named =
        ClientSideId { id: id.clone(), project: "shop".to_owned(), environment: "test".to_owned() };
    let served =
        Served::start(Settings { client_side_ids: vec![named], ..Settings::default() }).await;
    served.write(Method::POST, AMPLITUDE, batch(&id, &[("a", true)]), 204).await;
    assert_eq!(environment_id(&served).await, id);
    assert_eq!(served.get(SHOWN).await["included_count"], 1);
}

#[tokio::test]
async fn what_cannot_be_placed_or_read_is_refused() {
    let served = Served::usual().await;
    let id = environment_id(&served).await;
    let good = batch(&id, &[("a", true)]);
    served.refuse(Method::POST, "/api/v2/segment-targets/zeotap", good, 404, "not_found").await;
    let lost = batch("000000000000000000000000", &[("a", true)]);
    served.refuse(Method::POST, AMPLITUDE, lost, 404, "not_found").await;
    for body in [
        json!({"environmentId": id, "batch": []}),
        json!({"environmentId": id}),
        json!({"environmentId": id, "cohortId": "vip", "listData": {"add": [{"id": "a"}]}}),
        batch(&id, &[("a", true), ("", true)]),
    ] {
        served.refuse(Method::POST, AMPLITUDE, body, 400, "invalid_request").await;
    }
    assert_eq!(served.get("/sandbox/segments").await, json!({"segments": []}), "all or nothing");
}

#[tokio::test]
async fn a_segment_of_another_owner_or_kind_is_left_alone() {
    let served = Served::usual().await;
    let id = environment_id(&served).await;
    let own = json!({"key": "amplitude-vip", "name": "V", "unbounded": true});
    served.write(Method::POST, "/api/v2/segments/shop/test", own, 201).await;
    let body = batch(&id, &[("a", true)]);
    served.refuse(Method::POST, AMPLITUDE, body, 409, "conflict").await;
    let hightouch = "/api/v2/segment-targets/hightouch";
    let action = |kind: &str| {
        json!({"environmentId": id, "cohortId": "vip", "contextKind": kind,
        "action": "add", "members": [{"integration_distinct_id": "a"}]})
    };
    served.write(Method::POST, hightouch, action("user"), 204).await;
    served.refuse(Method::POST, hightouch, action("device"), 409, "conflict").await;
}

#[tokio::test]
async fn writing_to_a_synced_segment_is_noted() {
    let served = Served::usual().await;
    let id = environment_id(&served).await;
    served.write(Method::POST, AMPLITUDE, batch(&id, &[("a", true)]), 204).await;
    let contexts = "/api/v2/segments/shop/test/amplitude-vip/contexts";
    served.write(Method::POST, contexts, json!({"included": {"add": ["b"]}}), 204).await;
    assert_eq!(served.journal().await["notes"], json!({"synced_segment_written": 1}));
}

#[tokio::test]
async fn keys_are_limited_and_faults_find_the_environment() {
    let served = Served::usual().await;
    let id = environment_id(&served).await;
    served.set_segment_rules(json!({"max_keys_per_request": {"keys": 1}})).await;
    let two = batch(&id, &[("a", true), ("b", true)]);
    served.refuse(Method::POST, AMPLITUDE, two, 413, "invalid_request").await;
    served
        .set_faults(json!([{"operation": "segment_targets", "project": "shop",
        "environment": "test", "times": 1, "action": {"kind": "status", "status": 503}}]))
        .await;
    let one = batch(&id, &[("a", true)]);
    served.refuse(Method::POST, AMPLITUDE, one.clone(), 503, "service_unavailable").await;
    served.write(Method::POST, AMPLITUDE, one, 204).await;
}
