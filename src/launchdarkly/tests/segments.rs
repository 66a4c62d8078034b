//! Segments and their members on the wire.

use serde_json::{Value, json};

use super::{Server, answer};
use crate::launchdarkly::answer::{Creation, ErrorClass, Written};
use crate::launchdarkly::members::{MemberChanges, MemberIntent};
use crate::launchdarkly::segments::{SegmentForm, SegmentKind, SegmentSpec, SegmentsClient};
use crate::launchdarkly::synced::{SyncedSegment, SyncedSpec};

const SEGMENTS: &str = "/api/v2/segments/store%20front/production";

fn changes() -> MemberChanges {
    MemberChanges::from_intents([
        ("in".to_owned(), MemberIntent::Include),
        ("out".to_owned(), MemberIntent::DropIncluded),
    ])
}

fn big() -> Value {
    json!({
        "key": "vip", "version": 7, "unbounded": true, "unboundedContextKind": "device",
        "_unboundedMetadata": {"includedCount": 12, "excludedCount": 1}, "_importInProgress": true,
    })
}

#[tokio::test]
async fn a_segment_is_of_its_kind() {
    let standard = json!({
        "key": "beta", "version": 3, "included": ["a", "b"], "excluded": [],
        "includedContexts": [{"contextKind": "device", "values": ["c"]}],
    });
    let synced = json!({"version": 1, "unbounded": true, "_external": "amplitude"});
    let server = Server::with([
        answer(200, standard),
        answer(200, big()),
        answer(200, synced),
        answer(404, ""),
    ])
    .await;
    let segments = SegmentsClient::new(server.client());
    let mut views = Vec::new();
    for _read in 0..4 {
        views.push(segments.get("a b").await.unwrap().value);
        assert_eq!(server.only().line, format!("GET {SEGMENTS}/a%20b"));
    }
    let [Some(standard), Some(big), Some(synced), None] = &views[..] else { panic!("{views:?}") };
    assert_eq!((&standard.kind, standard.version), (&SegmentKind::Standard, 3));
    assert_eq!((standard.included_count, standard.excluded_count), (Some(3), Some(0)));
    assert_eq!(big.kind, SegmentKind::Big { context_kind: "device".to_owned() });
    assert_eq!((big.included_count, big.excluded_count), (Some(12), Some(1)));
    assert!(big.import_in_progress && !standard.import_in_progress);
    let (context_kind, integration) = ("user".to_owned(), "amplitude".to_owned());
    assert_eq!(synced.kind, SegmentKind::Synced { context_kind, integration });
    assert_eq!(synced.included_count, None);
}

#[tokio::test]
async fn a_creation_asks_for_its_form() {
    let spec = SegmentSpec {
        key: "vip".to_owned(),
        name: "VIP".to_owned(),
        description: None,
        tags: vec!["kafka".to_owned()],
        form: SegmentForm::Big { context_kind: "device".to_owned() },
    };
    let standard = SegmentSpec {
        description: Some("People".to_owned()),
        form: SegmentForm::Standard,
        ..spec.clone()
    };
    let exists = json!({"code": "key_exists", "message": "Duplicate segment key"});
    let server =
        Server::with([answer(201, big()), answer(409, exists), answer(404, "no such project")])
            .await;
    let segments = SegmentsClient::new(server.client());
    let created = segments.create(&spec).await.unwrap().value;
    assert!(matches!(created, Creation::Created(view) if view.version == 7));
    let seen = server.only();
    assert_eq!(seen.line, format!("POST {SEGMENTS}"));
    assert_eq!(
        seen.json(),
        json!({
            "key": "vip", "name": "VIP", "tags": ["kafka"], "unbounded": true,
            "unboundedContextKind": "device",
        })
    );
    assert_eq!(segments.create(&standard).await.unwrap().value, Creation::AlreadyThere);
    let body = server.only().json();
    assert_eq!(
        body,
        json!({
            "key": "vip", "name": "VIP", "description": "People", "tags": ["kafka"],
            "unbounded": false,
        })
    );
    let error = segments.create(&spec).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Misconfigured);
}

#[tokio::test]
async fn a_big_segment_takes_lists() {
    let server = Server::with([answer(204, ""), answer(404, ""), answer(400, "")]).await;
    let segments = SegmentsClient::new(server.client());
    let write = segments.big_write("v/p", &changes());
    assert_eq!(write.changes(), &changes());
    assert_eq!(segments.write(&write).await.unwrap().value, Written::Done);
    let first = server.only();
    assert_eq!(first.line, format!("POST {SEGMENTS}/v%2Fp/contexts"));
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(
        first.json(),
        json!({"included": {"add": ["in"], "remove": ["out"]}, "excluded": {"remove": ["in"]}})
    );
    assert_eq!(segments.write(&write).await.unwrap().value, Written::Absent);
    assert_eq!(server.only().body, first.body, "a repeat is the same");
    assert_eq!(segments.write(&write).await.unwrap_err().class, ErrorClass::Refused);
}

#[tokio::test]
async fn a_standard_segment_takes_semantic_patches_within_the_limit() {
    let many: Vec<_> = (0..1_000).map(|n| (n.to_string(), MemberIntent::Include)).collect();
    let server =
        Server::with([answer(200, json!({})), answer(200, json!({})), answer(404, "")]).await;
    let segments = SegmentsClient::new(server.client());
    let writes = segments.standard_writes("beta", "user", &MemberChanges::from_intents(many));
    assert_eq!(writes.len(), 2);
    for write in &writes {
        assert_eq!(segments.write(write).await.unwrap().value, Written::Done);
        let seen = server.only();
        assert_eq!(seen.line, format!("PATCH {SEGMENTS}/beta"));
        assert_eq!(
            seen.header("content-type"),
            "application/json; domain-model=launchdarkly.semanticpatch"
        );
        let body = seen.json();
        assert_eq!(body["environmentKey"], "production");
        let instructions = body["instructions"].as_array().unwrap();
        let kinds: Vec<_> = instructions.iter().map(|it| it["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["removeExcludedTargets", "addIncludedTargets"]);
        let targets = instructions.iter().map(|it| it["values"].as_array().unwrap().len());
        assert!(targets.sum::<usize>() <= 1_500);
    }
    assert_eq!(segments.write(&writes[0]).await.unwrap().value, Written::Absent);
}

#[tokio::test]
async fn a_synced_segment_goes_to_its_integration() {
    let segment = SyncedSegment::try_new(SyncedSpec {
        integration_key: "hightouch".to_owned(),
        client_side_id: "5f0c".to_owned(),
        cohort_id: "vip".to_owned(),
        cohort_name: "VIP".to_owned(),
        context_kind: "user".to_owned(),
    })
    .unwrap();
    let server = Server::with([answer(204, ""), answer(200, "ok"), answer(404, "")]).await;
    let segments = SegmentsClient::new(server.client());
    let writes = SegmentsClient::synced_writes(&segment, &changes()).unwrap();
    for (write, action) in writes.iter().zip(["remove", "add"]) {
        assert_eq!(segments.write(write).await.unwrap().value, Written::Done);
        let seen = server.only();
        assert_eq!(seen.line, "POST /api/v2/segment-targets/hightouch");
        assert_eq!(seen.json()["action"], action);
    }
    let error = segments.write(&writes[0]).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Misconfigured, "no segment has to be there first");
}
