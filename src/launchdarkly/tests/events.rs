//! The import client's requests beyond their bodies.

use std::time::Duration;

use uuid::Uuid;

use super::super::events::{BodyCompression, EventsClient};
use super::*;
use crate::model::record::Headers;
use crate::model::trace::{Trace, TraceParent};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Traced;

impl Headers for Traced {
    fn count(&self) -> usize {
        1
    }

    fn at(&self, _: usize) -> Option<(&str, Option<&[u8]>)> {
        Some(("traceparent", Some(PARENT.as_bytes())))
    }
}

/// One trace goes on, and a token that is replaced counts from the next request on.
#[tokio::test]
async fn a_request_has_its_records_trace_and_the_newest_token() {
    let accepted = || answer(202, "");
    let server = Server::with([accepted(), accepted()]).await;
    let mut target = target("http://127.0.0.1:1");
    target.events_url.clone_from(&server.url);
    let client = EventsClient::new(&target, BodyCompression::None, Duration::from_secs(5)).unwrap();
    let trace = Trace::default().with(TraceParent::find(&Traced));
    let body = client.body("[1]".into()).of_trace(&trace);
    client.import(&body, Uuid::nil(), || NOW_MS).await.unwrap();
    let seen = server.only();
    assert_eq!((seen.header("traceparent"), seen.header("authorization")), (PARENT, TOKEN));

    target.access_token = SecretString::from("api-other");
    client.token().replace(&target).unwrap();
    let plain = client.body("[1]".into()).of_trace(&trace.with(None));
    client.import(&plain, Uuid::nil(), || NOW_MS).await.unwrap();
    let seen = server.only();
    assert!(seen.headers.get("traceparent").is_none());
    assert_eq!(seen.header("authorization"), "api-other");
}
