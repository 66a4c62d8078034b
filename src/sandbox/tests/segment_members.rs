//! Members of big segments over the wire.

use super::*;

const SEGMENTS: &str = "/api/v2/segments/shop/test";
const VIP: &str = "/api/v2/segments/shop/test/vip";
const CONTEXTS: &str = "/api/v2/segments/shop/test/vip/contexts";
const USERS: &str = "/api/v2/segments/shop/test/vip/users";
const SHOWN: &str = "/sandbox/segments/shop/test/vip";

async fn with_segment(context_kind: &str) -> Served {
    let served = Served::usual().await;
    let body = json!({"key": "vip", "name": "VIP", "unbounded": true,
        "unboundedContextKind": context_kind});
    served.write(Method::POST, SEGMENTS, body, 201).await;
    served
}

#[tokio::test]
async fn contexts_come_and_go_as_a_set() {
    let served = with_segment("device").await;
    for _ in 0..2 {
        let body = json!({"included": {"add": ["a", "b"], "remove": ["absent"]},
            "excluded": {"add": ["x"]}});
        assert_eq!(served.write(Method::POST, CONTEXTS, body, 204).await, Value::Null);
    }
    served.write(Method::POST, CONTEXTS, json!({"included": {"remove": ["a"]}}), 204).await;
    served.write(Method::POST, CONTEXTS, json!({}), 204).await;
    let shown = served.get(SHOWN).await;
    assert_eq!(shown["included"], json!({"device": ["b"]}));
    assert_eq!(shown["excluded"], json!({"device": ["x"]}));
    assert_eq!((&shown["kind"], &shown["context_kind"]), (&json!("big"), &json!("device")));
    assert_eq!((&shown["version"], &shown["membership_version"]), (&json!(1), &json!(3)));
    let counts = served.get(&format!("{SHOWN}?members=false")).await;
    assert_eq!((&counts["included_count"], &counts["included"]), (&json!(1), &Value::Null));
    let metadata = served.read(VIP).await["_unboundedMetadata"].clone();
    assert_eq!((&metadata["includedCount"], &metadata["excludedCount"]), (&json!(1), &json!(1)));

    let history = served.get(&format!("{SHOWN}/history?from=2")).await;
    let changed: Vec<_> =
        (0..4).map(|index| history["changes"][index]["changed"].clone()).collect();
    assert_eq!(changed, [true, false, true, false]);
    assert_eq!(
        history["changes"][0]["included"]["device"],
        json!({"add": ["a", "b"], "remove": ["absent"]})
    );
    assert_eq!(history["changes"][0]["excluded"]["device"]["add"], json!(["x"]));
    assert_eq!(history["changes"][0]["operation"], "segment_contexts");
    assert_eq!(history["changes"][0]["request"], 2);
}

#[tokio::test]
async fn users_are_for_segments_of_users() {
    let served = with_segment("user").await;
    served.write(Method::POST, USERS, json!({"included": {"add": ["a"]}}), 204).await;
    assert_eq!(served.get(SHOWN).await["included"], json!({"user": ["a"]}));
    let devices = with_segment("device").await;
    let body = json!({"included": {"add": ["a"]}});
    devices.refuse(Method::POST, USERS, body, 400, "invalid_request").await;
    let one = format!("{USERS}/a");
    devices.refuse(Method::GET, &one, Value::Null, 400, "invalid_request").await;
}

#[tokio::test]
async fn membership_is_told_one_key_at_a_time() {
    let served = with_segment("user").await;
    let odd = "a/b c?d%25#é";
    served
        .write(
            Method::POST,
            CONTEXTS,
            json!({"included": {"add": [odd]},
        "excluded": {"add": ["x"]}}),
            204,
        )
        .await;
    let encoded = "a%2Fb%20c%3Fd%2525%23%C3%A9";
    for path in [CONTEXTS, USERS] {
        let told = served.read(&format!("{path}/{encoded}")).await;
        assert_eq!(told, json!({"userKey": odd, "included": true, "excluded": false}));
        let told = served.read(&format!("{path}/x")).await;
        assert_eq!(told, json!({"userKey": "x", "included": false, "excluded": true}));
        let told = served.read(&format!("{path}/absent")).await;
        assert_eq!(told, json!({"userKey": "absent", "included": false, "excluded": false}));
    }
}

#[tokio::test]
async fn standard_and_unknown_segments_are_refused() {
    let served = Served::usual().await;
    let body = json!({"included": {"add": ["a"]}});
    served.refuse(Method::POST, CONTEXTS, body.clone(), 404, "not_found").await;
    served.refuse(Method::GET, &format!("{CONTEXTS}/a"), Value::Null, 404, "not_found").await;
    served.write(Method::POST, SEGMENTS, json!({"key": "vip", "name": "VIP"}), 201).await;
    for path in [CONTEXTS, USERS] {
        served.refuse(Method::POST, path, body.clone(), 400, "invalid_request").await;
        served.refuse(Method::GET, &format!("{path}/a"), Value::Null, 400, "invalid_request").await;
    }
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let served = with_segment("user").await;
    for body in [
        json!([]),
        json!({"included": []}),
        json!({"included": ["a"]}),
        json!({"included": {"add": "a"}}),
        json!({"included": {"add": [1]}}),
        json!({"excluded": {"remove": [""]}}),
    ] {
        served.refuse(Method::POST, CONTEXTS, body, 400, "invalid_request").await;
    }
}

#[tokio::test]
async fn a_key_both_added_and_removed_stays_and_is_noted() {
    let served = with_segment("user").await;
    let body = json!({"included": {"add": ["a", "b"], "remove": ["a"]}});
    served.write(Method::POST, CONTEXTS, body, 204).await;
    assert_eq!(served.get(SHOWN).await["included"], json!({"user": ["a", "b"]}));
    let requests = served.get("/sandbox/requests").await;
    assert_eq!(requests["requests"][1]["notes"], json!(["member_added_and_removed"]));
    assert_eq!(served.journal().await["notes"], json!({"member_added_and_removed": 1}));
}

#[tokio::test]
async fn a_key_is_on_one_list_only() {
    let served = with_segment("user").await;
    let both = json!({"included": {"add": ["b", "a"]}, "excluded": {"add": ["a"]}});
    served.refuse(Method::POST, CONTEXTS, both, 400, "invalid_request").await;
    assert_eq!(served.get(SHOWN).await["included"], json!({}), "all or nothing");
    served.write(Method::POST, CONTEXTS, json!({"included": {"add": ["a"]}}), 204).await;
    let exclude = json!({"excluded": {"add": ["a"]}});
    served.refuse(Method::POST, CONTEXTS, exclude, 400, "invalid_request").await;
    let moved = json!({"excluded": {"add": ["a"]}, "included": {"remove": ["a"]}});
    served.write(Method::POST, CONTEXTS, moved, 204).await;
    assert_eq!(served.get(SHOWN).await["excluded"], json!({"user": ["a"]}));
}

#[tokio::test]
async fn the_number_of_keys_can_be_limited() {
    let served = with_segment("user").await;
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|number| format!("u-{number}")).collect();
        json!({"included": {"add": keys}, "excluded": {"remove": ["x"]}})
    };
    served.write(Method::POST, CONTEXTS, keys(5_000), 204).await;
    for status in [400, 413] {
        let limit = json!({"max_keys_per_request": {"keys": 4, "status": status}});
        served.set_segment_rules(limit.clone()).await;
        served.write(Method::POST, CONTEXTS, keys(3), 204).await;
        served.refuse(Method::POST, CONTEXTS, keys(4), status, "invalid_request").await;
        assert_eq!(
            served.get("/sandbox/segment-rules").await["max_keys_per_request"],
            limit["max_keys_per_request"]
        );
    }
    let odd = json!({"max_keys_per_request": {"keys": 4, "status": 500}});
    let refused = served.put("/sandbox/segment-rules", &odd).await;
    assert_eq!(error_of(refused).await, (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn approvals_hold_membership_too() {
    let required = json!({"approvals_required": [{"project": "shop", "environment": "test"}]});
    let segment_rules: SegmentRules = serde_json::from_value(required).expect("rules");
    let served = Served::start(Settings { segment_rules, ..Settings::default() }).await;
    let body = json!({"key": "vip", "name": "VIP", "unbounded": true});
    served.write(Method::POST, SEGMENTS, body, 201).await;
    let add = json!({"included": {"add": ["a"]}});
    served.refuse(Method::POST, CONTEXTS, add, 403, "forbidden").await;
}
