//! The second yardstick: the least that a program can do that does the job at all. It reads, decodes the
//! mapped fields in place, appends them to a body, and posts it. It has no configuration, no journal,
//! no limits, no retries and no dead letters.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rdkafka::Message as _;
use reqwest::Client;
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::arguments::Yardstick;
use crate::measure::{BATCH_EVENTS, LINGER, POSTS};
use crate::raw::consumer;

#[derive(Deserialize)]
struct Row<'r> {
    id: &'r str,
    user_id: &'r str,
    total: f64,
    created_at: i64,
}

#[derive(Deserialize)]
struct Envelope<'r> {
    #[serde(borrow)]
    after: Row<'r>,
}

/// Either with its schema or without.
#[derive(Deserialize)]
struct Wrapped<'r> {
    #[serde(borrow)]
    payload: Option<Envelope<'r>>,
    #[serde(borrow)]
    after: Option<Row<'r>>,
}

/// Reads and posts until the process is ended.
pub(crate) fn run(settings: &Yardstick, runtime: &Runtime) -> ! {
    println!("ready");
    let consumer = consumer(settings, "floor");
    let (client, posts) = (Client::new(), Arc::new(Semaphore::new(POSTS)));
    let mut body = Vec::with_capacity(1 << 20);
    let (mut events, mut since) = (0, Instant::now());
    loop {
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(10)) {
            if events == 0 {
                since = Instant::now();
            }
            body.push(if events == 0 { b'[' } else { b',' });
            append(&mut body, record.payload().unwrap(), settings.debezium);
            events += 1;
        }
        if events > 0 && (events >= BATCH_EVENTS || since.elapsed() >= LINGER) {
            body.push(b']');
            let body = std::mem::replace(&mut body, Vec::with_capacity(1 << 20));
            post(settings, &client, &posts, body, runtime);
            events = 0;
        }
    }
}

fn append(body: &mut Vec<u8>, record: &[u8], debezium: bool) {
    let row: Row<'_> = if debezium {
        let wrapped: Wrapped<'_> = serde_json::from_slice(record).unwrap();
        wrapped.payload.map(|it| it.after).or(wrapped.after).unwrap()
    } else {
        serde_json::from_slice(record).unwrap()
    };
    let Row { id, user_id, total, created_at } = row;
    write!(
        body,
        r#"{{"kind":"custom","key":"paid","contextKeys":{{"user":"{user_id}"}},"metricValue":{total},"creationDate":{created_at},"data":{{"id":"{id}"}}}}"#
    )
    .unwrap();
}

fn post(
    settings: &Yardstick,
    client: &Client,
    posts: &Arc<Semaphore>,
    body: Vec<u8>,
    runtime: &Runtime,
) {
    let seat = runtime.block_on(Arc::clone(posts).acquire_owned()).unwrap();
    let (request, gzip) = (client.post(&settings.sink), settings.gzip);
    runtime.spawn(async move {
        let request = if gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).unwrap();
            request.header("content-encoding", "gzip").body(encoder.finish().unwrap())
        } else {
            request.body(body)
        };
        assert!(request.send().await.unwrap().status().is_success());
        drop(seat);
    });
}
