//! No secret is shown, whatever a server echoes and however a configuration is mistyped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::oracle::header;
use crate::support::service::{Service, order, orders_config, with_properties};
use crate::support::stranger::Stranger;
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "api-5f2c9a71-84d0-4e6b-b3ad-90c1e7f6a2d8";
/// So much of a secret helps whoever reads it; less is found by chance.
const PIECE: usize = 8;
/// Where details end.
const DETAIL_CHARS: usize = 512;
/// As many places for the token to lie as there are records, around the end of details.
const RECORDS: usize = 48;

/// An answer of `status` that repeats the token somewhere around the end of what is shown of it.
fn echo(headers: &HeaderMap, status: u16, turn: usize) -> Response {
    let token = headers["authorization"].to_str().unwrap();
    let before = DETAIL_CHARS - TOKEN.len() - 4 + turn % RECORDS;
    // One byte and four bytes per character: bytes and characters are cut at different places.
    let filler = if turn.is_multiple_of(2) { "x" } else { "\u{1f512}" };
    let body = format!("{}{token}{}", filler.repeat(before), "y".repeat(8_000));
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

fn assert_hidden(secret: &str, text: &str, place: &str) {
    for piece in secret.as_bytes().windows(PIECE) {
        let piece = std::str::from_utf8(piece).unwrap();
        assert!(!text.contains(piece), "{piece:?} of a secret is in {place}:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_server_echoes() {
    let kafka = KafkaCluster::shared().await;
    let (status, turns) = (Arc::new(AtomicU16::new(503)), Arc::new(AtomicUsize::new(0)));
    let answer = {
        let (status, turns) = (Arc::clone(&status), Arc::clone(&turns));
        move |headers: &HeaderMap| {
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            echo(headers, status.load(Ordering::Relaxed), turn)
        }
    };
    let stranger = Stranger::start(answer).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let ids: Vec<String> = (0..RECORDS).map(|n| format!("e-{n}")).collect();
    kafka.produce(&topic, ids.iter().map(|id| NewRecord::to(0).value(order("c", id, "1")))).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), stranger.url());
    let service = Service::start_with(&config, &[("LDSINK_TEST_TOKEN", TOKEN)]);

    let seen = async || turns.load(Ordering::Relaxed);
    let mut shown = String::new();
    // Down, then a fault of the configuration: both tell the server's words in the log and in /ready.
    for (code, said) in [(503, "request failed"), (401, "lane halted")] {
        status.store(code, Ordering::Relaxed);
        service.says(PATIENCE, &[said]).await;
        let part = async || service.ask("/ready").await.1;
        eventually(PATIENCE, "/ready", async || part().await.contains("target production")).await;
        let before = seen().await;
        eventually(PATIENCE, "two more answers", async || {
            shown += &part().await;
            seen().await >= before + 2
        })
        .await;
    }
    assert!(shown.contains("xxx") || shown.contains('\u{1f512}'), "no words of the server's");
    // A fault of the records: each becomes a dead letter with the server's words.
    status.store(400, Ordering::Relaxed);
    let letters = eventually(PATIENCE, "dead letters", async || {
        let letters = kafka.read_all(&format!("{topic}.dead")).await;
        if letters.len() == RECORDS { Ok(letters) } else { Err(format!("{}", letters.len())) }
    })
    .await;
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);

    assert_hidden(TOKEN, &ended.log, "the log");
    assert_hidden(TOKEN, &shown, "/ready");
    let mut whole = 0;
    for letter in &letters {
        for (name, value) in &letter.headers {
            let value = String::from_utf8_lossy(value.as_deref().unwrap_or_default());
            assert_hidden(TOKEN, &value, name);
        }
        whole += usize::from(header(letter, "ldsink.detail").chars().count() >= DETAIL_CHARS);
    }
    assert!(whole > 0, "the server's words were cut where the token lay");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_value_of_a_mistyped_property() {
    const SECRET: &str = "hunter2secret";
    for (properties, named) in [
        ("sasl.pasword: hunter2secret", "sasl.pasword"),
        ("sasl.pasword: \"${LDSINK_TEST_PASSWORD}\"", "sasl.pasword"),
        // The name is right, the value is not.
        ("security.protocol: hunter2secret", "security.protocol"),
    ] {
        let config = orders_config("127.0.0.1:1", "orders", "group", "http://127.0.0.1:1");
        let config = with_properties(&config, properties);
        let ended =
            Service::start_with(&config, &[("LDSINK_TEST_PASSWORD", SECRET)]).ended(PATIENCE).await;
        assert!(matches!(ended.status.code(), Some(2 | 3)), "{}: {}", ended.status, ended.log);
        assert!(ended.log.contains(named), "{named:?} is not in:\n{}", ended.log);
        assert_hidden(SECRET, &ended.log, "the log");
    }
}
