//! The import client's requests beyond their bodies.

use std::time::Duration;

use uuid::Uuid;

use super::super::events::{BodyCompression, EventsClient};
use super::*;
use crate::model::trace::TraceParent;

const PARENT: TraceParent = TraceParent { trace: [0x0a; 16], span: [0xb7; 8], flags: 1 };

/// One trace goes on, and a token that is replaced counts from the next request on.
#[tokio::test]
async fn a_request_has_its_records_trace_and_the_newest_token() {
    let accepted = || answer(202, "");
    let server = Server::with([accepted(), accepted()]).await;
    let mut target = target("http://127.0.0.1:1");
    target.events_url.clone_from(&server.url);
    let client = EventsClient::new(&target, BodyCompression::None, Duration::from_secs(5)).unwrap();
    let body = client.body("[1]".into()).of_trace(Some(PARENT));
    client.import(&body, Uuid::nil(), || NOW_MS).await.unwrap();
    let seen = server.only();
    let header = "00-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a-b7b7b7b7b7b7b7b7-01";
    assert_eq!((seen.header("traceparent"), seen.header("authorization")), (header, TOKEN));

    target.access_token = SecretString::from("api-other");
    client.token().replace(&target).unwrap();
    let plain = body.of_trace(None);
    client.import(&plain, Uuid::nil(), || NOW_MS).await.unwrap();
    let seen = server.only();
    assert!(seen.headers.get("traceparent").is_none());
    assert_eq!(seen.header("authorization"), "api-other");
}
