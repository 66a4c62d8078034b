//! Changing segments over the wire: semantic patches, JSON patches and merge patches.

use super::*;

const SEGMENTS: &str = "/api/v2/segments/shop/test";
const VIP: &str = "/api/v2/segments/shop/test/vip";
const SEMANTIC: &str = "application/json; domain-model=launchdarkly.semanticpatch";

async fn with_segment(big: bool) -> Served {
    let served = Served::usual().await;
    let body = json!({"key": "vip", "name": "VIP", "unbounded": big});
    served.write(Method::POST, SEGMENTS, body, 201).await;
    served
}

async fn instruct(served: &Served, instructions: Value) -> (u16, Value) {
    let body = json!({"environmentKey": "test", "instructions": instructions, "comment": "c"});
    served.ask_as(Method::PATCH, VIP, SEMANTIC, body).await
}

async fn accept(served: &Served, instructions: Value) -> Value {
    let (status, answer) = instruct(served, instructions).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn decline(served: &Served, instructions: Value) {
    let (status, answer) = instruct(served, instructions.clone()).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_request")), "{instructions}");
}

fn targets(kind: &str, keys: &[&str]) -> Value {
    json!({"kind": kind, "contextKind": "user", "values": keys})
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("u-{number}")).collect()
}

#[tokio::test]
async fn instructions_move_targets_of_every_kind() {
    let served = with_segment(false).await;
    accept(
        &served,
        json!([
            targets("addIncludedTargets", &["a", "b"]),
            {"kind": "addIncludedTargets", "contextKind": "org", "values": ["o"]},
            {"kind": "addExcludedUsers", "values": ["x", "y"]},
            {"kind": "addExcludedTargets", "contextKind": "org", "values": ["p"]},
        ]),
    )
    .await;
    let segment = accept(
        &served,
        json!([
            {"kind": "removeIncludedUsers", "values": ["a", "absent"]},
            targets("removeExcludedTargets", &["x"]),
            targets("addIncludedTargets", &["x", "b"]),
        ]),
    )
    .await;
    assert_eq!(segment["included"], json!(["b", "x"]));
    assert_eq!(segment["excluded"], json!(["y"]));
    assert_eq!(segment["includedContexts"], json!([{"contextKind": "org", "values": ["o"]}]));
    assert_eq!(segment["excludedContexts"], json!([{"contextKind": "org", "values": ["p"]}]));
    assert_eq!(segment["version"], 3);
    assert_eq!(segment, served.read(VIP).await);

    let history = served.get("/sandbox/segments/shop/test/vip/history?from=3").await;
    let change = &history["changes"][0];
    assert_eq!(change["request"], 3);
    assert_eq!(change["operation"], "segment_update");
    assert_eq!(change["included"]["user"], json!({"add": ["x", "b"], "remove": ["a", "absent"]}));
    assert_eq!(change["excluded"]["user"], json!({"add": [], "remove": ["x"]}));
}

#[tokio::test]
async fn instructions_change_name_and_tags() {
    let served = with_segment(false).await;
    let segment = accept(
        &served,
        json!([
            {"kind": "updateName", "value": "New"},
            {"kind": "addTags", "values": ["a", "b", "a"]},
            {"kind": "removeTags", "values": ["b", "absent"]},
        ]),
    )
    .await;
    assert_eq!((&segment["name"], &segment["tags"]), (&json!("New"), &json!(["a"])));
    assert_eq!(segment["version"], 2);
    let same = accept(&served, json!([{"kind": "updateName", "value": "New"}])).await;
    assert_eq!(same["version"], 2, "what holds already changes nothing");
}

#[tokio::test]
async fn a_patch_is_taken_as_a_whole_or_not_at_all_a1() {
    let served = with_segment(false).await;
    accept(&served, json!([targets("addIncludedTargets", &["a"])])).await;
    let before = served.read(VIP).await;
    let good = targets("addIncludedTargets", &["b"]);
    for wrong in [
        targets("addExcludedTargets", &["a"]),
        targets("addExcludedTargets", &["b"]),
        targets("addBigSegmentIncludedTargets", &["b"]),
        targets("addTargets", &["b"]),
        json!({"kind": "addIncludedTargets", "values": ["c"]}),
        json!({"kind": "addIncludedTargets", "contextKind": "user"}),
        json!({"kind": "addIncludedTargets", "contextKind": "user", "values": [1]}),
        json!({"kind": "addIncludedTargets", "contextKind": "user", "values": [""]}),
        json!({"kind": "updateName", "value": ""}),
        json!({"values": ["c"]}),
        json!({"kind": "fly"}),
    ] {
        decline(&served, json!([good, wrong])).await;
    }
    decline(&served, json!([])).await;
    assert_eq!(served.read(VIP).await, before);
    let moved =
        json!([targets("removeIncludedTargets", &["a"]), targets("addExcludedTargets", &["a"])]);
    assert_eq!(accept(&served, moved).await["excluded"], json!(["a"]));
}

#[tokio::test]
async fn the_header_and_the_environment_must_be_named() {
    let served = with_segment(false).await;
    let instructions = json!([{"kind": "updateName", "value": "New"}]);
    let body = json!({"environmentKey": "test", "instructions": instructions});
    served.refuse(Method::PATCH, VIP, body.clone(), 400, "invalid_request").await;
    for body in [
        json!({"instructions": instructions}),
        json!({"environmentKey": "production", "instructions": instructions}),
        json!({"environmentKey": "test"}),
        json!([]),
    ] {
        assert_eq!(served.ask_as(Method::PATCH, VIP, SEMANTIC, body).await.0, 400);
    }
    let other = "application/json; domain-model=launchdarkly.other";
    assert_eq!(served.ask_as(Method::PATCH, VIP, other, body.clone()).await.0, 400);
    assert_eq!(served.ask_as(Method::PATCH, VIP, "text/plain", body.clone()).await.0, 400);
    assert_eq!(served.ask_as(Method::PATCH, VIP, SEMANTIC, body).await.0, 200);
}

#[tokio::test]
async fn target_operations_are_counted_over_the_request_x1() {
    let served = with_segment(false).await;
    let keys = numbered(1_500);
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let (first, rest) = keys.split_at(700);
    let just = json!([
        targets("addIncludedTargets", first), {"kind": "addIncludedUsers", "values": rest}]);
    assert_eq!(accept(&served, just).await["included"].as_array().map(Vec::len), Some(1_500));
    decline(
        &served,
        json!([targets("removeIncludedTargets", &keys), targets("addExcludedTargets", &["z"])]),
    )
    .await;
}

#[tokio::test]
async fn a_standard_segment_holds_fifteen_thousand_targets_a2() {
    let served = with_segment(false).await;
    let full =
        json!({"patch": [{"op": "replace", "path": "/included", "value": numbered(15_000)}]});
    served.write(Method::PATCH, VIP, full, 200).await;
    decline(&served, json!([targets("addIncludedTargets", &["one more"])])).await;
    decline(
        &served,
        json!([{"kind": "addExcludedTargets", "contextKind": "org", "values": ["o"]}]),
    )
    .await;
    accept(&served, json!([targets("addIncludedTargets", &["u-1"])])).await;
    accept(
        &served,
        json!([
            targets("removeIncludedTargets", &["u-1"]),
            targets("addIncludedTargets", &["new"])
        ]),
    )
    .await;
    let over =
        json!({"patch": [{"op": "replace", "path": "/included", "value": numbered(15_001)}]});
    served.refuse(Method::PATCH, VIP, over, 400, "invalid_request").await;
}

#[tokio::test]
async fn big_segments_have_instructions_of_their_own() {
    let served = with_segment(true).await;
    let keys = numbered(2_000);
    let segment = accept(
        &served,
        json!([
            {"kind": "addBigSegmentIncludedTargets", "values": keys},
            {"kind": "addBigSegmentExcludedTargets", "values": ["x", "y"]},
            {"kind": "removeBigSegmentExcludedTargets", "values": ["y"]},
            {"kind": "removeBigSegmentIncludedTargets", "values": ["u-0"]},
        ]),
    )
    .await;
    let metadata = &segment["_unboundedMetadata"];
    assert_eq!(
        (&metadata["includedCount"], &metadata["excludedCount"]),
        (&json!(1_999), &json!(1))
    );
    assert_eq!((&metadata["version"], &segment["version"]), (&json!(2), &json!(1)));
    decline(&served, json!([{"kind": "addBigSegmentExcludedTargets", "values": ["u-1"]}])).await;
    decline(&served, json!([targets("addIncludedTargets", &["a"])])).await;
    for field in ["included", "rules"] {
        let body = json!({"patch": [{"op": "add", "path": format!("/{field}"), "value": []}]});
        served.refuse(Method::PATCH, VIP, body, 400, "invalid_request").await;
    }
}

#[tokio::test]
async fn documented_instructions_that_are_not_played_say_so() {
    let served = with_segment(false).await;
    for kind in ["addRule", "processBigSegmentImport", "reorderRules"] {
        let (status, answer) = instruct(&served, json!([{"kind": kind}])).await;
        assert_eq!((status, &answer["code"]), (501, &json!("not_implemented")), "{kind}");
    }
}

#[tokio::test]
async fn a_json_patch_replaces_lists_and_details() {
    let served = with_segment(false).await;
    let segment = served
        .write(
            Method::PATCH,
            VIP,
            json!({"comment": "mirror", "patch": [
                {"op": "test", "path": "/version", "value": 1},
                {"op": "replace", "path": "/included", "value": ["b", "a"]},
                {"op": "add", "path": "/included/0", "value": "c"},
                {"op": "replace", "path": "/excludedContexts",
                    "value": [{"contextKind": "org", "values": ["o"]}]},
                {"op": "add", "path": "/description", "value": "d"},
                {"op": "add", "path": "/tags/0", "value": "t"},
                {"op": "add", "path": "/rules/0", "value": {"clauses": [{"attribute": "email",
                    "op": "endsWith", "values": [".edu"], "negate": false}]}},
            ]}),
            200,
        )
        .await;
    assert_eq!(segment["included"], json!(["a", "b", "c"]));
    assert_eq!(segment["excludedContexts"], json!([{"contextKind": "org", "values": ["o"]}]));
    assert_eq!((&segment["description"], &segment["tags"]), (&json!("d"), &json!(["t"])));
    assert!(segment["rules"][0]["_id"].is_string());
    assert_eq!(segment["version"], 2);
    let outdated = json!([{"op": "test", "path": "/version", "value": 1},
        {"op": "replace", "path": "/name", "value": "New"}]);
    served.refuse(Method::PATCH, VIP, outdated, 409, "optimistic_locking_error").await;
    for wrong in [
        json!([{"op": "replace", "path": "/excluded", "value": ["a"]}]),
        json!([{"op": "replace", "path": "/unbounded", "value": true}]),
        json!([{"op": "replace", "path": "/key", "value": "other"}]),
        json!([{"op": "replace", "path": "/included", "value": "a"}]),
        json!([{"op": "remove", "path": "/name"}]),
        json!([{"op": "replace", "path": "/rules", "value": [{}]}]),
        json!("patch"),
    ] {
        served.refuse(Method::PATCH, VIP, wrong, 400, "invalid_request").await;
    }
    assert_eq!(served.read(VIP).await, segment);
    let history = served.get("/sandbox/segments/shop/test/vip/history?from=2").await;
    assert_eq!(history["changes"][0]["included"]["user"]["add"], json!(["a", "b", "c"]));
}

#[tokio::test]
async fn a_merge_patch_sets_and_clears_fields() {
    let served = with_segment(false).await;
    let body = json!({"merge": {"name": "New", "description": "d"}, "comment": "c"});
    let segment = served.write(Method::PATCH, VIP, body, 200).await;
    assert_eq!((&segment["name"], &segment["description"]), (&json!("New"), &json!("d")));
    let bare = json!({"description": null, "included": ["a"]});
    let segment = served.write(Method::PATCH, VIP, bare, 200).await;
    assert_eq!((&segment["description"], &segment["included"]), (&Value::Null, &json!(["a"])));
    for wrong in [json!({"merge": []}), json!({"version": 9}), json!({"merge": {"key": "other"}})] {
        served.refuse(Method::PATCH, VIP, wrong, 400, "invalid_request").await;
    }
}

#[tokio::test]
async fn a_dry_run_shows_and_keeps_nothing() {
    let served = with_segment(false).await;
    let path = format!("{VIP}?dryRun=true");
    let body = json!([{"op": "replace", "path": "/included", "value": ["a"]}]);
    let preview = served.write(Method::PATCH, &path, body, 200).await;
    assert_eq!((&preview["included"], &preview["version"]), (&json!(["a"]), &json!(2)));
    assert_eq!(served.read(VIP).await["included"], json!([]));
    let history = served.get("/sandbox/segments/shop/test/vip/history").await;
    assert_eq!(history["changes"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn targeting_may_need_an_approval() {
    let served = with_segment(false).await;
    served
        .set_segment_rules(
            json!({"approvals_required": [{"project": "shop", "environment": "test"}]}),
        )
        .await;
    for instruction in
        [targets("addIncludedTargets", &["a"]), targets("removeIncludedTargets", &["a"])]
    {
        let (status, answer) = instruct(&served, json!([instruction])).await;
        assert_eq!((status, &answer["code"]), (403, &json!("forbidden")));
        assert_eq!(answer["message"], "approval is required");
    }
    let rules = json!([{"op": "add", "path": "/rules/0", "value": {"clauses": []}}]);
    served.refuse(Method::PATCH, VIP, rules, 403, "forbidden").await;
    accept(&served, json!([{"kind": "updateName", "value": "New"}])).await;
    served.write(Method::POST, SEGMENTS, json!({"key": "other", "name": "O"}), 201).await;
    served.set_segment_rules(json!({})).await;
    accept(&served, json!([targets("addIncludedTargets", &["a"])])).await;
}
