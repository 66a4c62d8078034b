//! The stages, each with what it is given made beforehand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use ldsink::launchdarkly::events::{BodyCompression, EventsClient};
use ldsink::model::batch::{MappingFingerprint, Mark, TargetId};
use ldsink::model::change::{BeforePolicy, Change, Format, Reading, Wanted};
use ldsink::model::outcome::Outcome;
use ldsink::model::record::Record;
use ldsink::model::routes::RouteSet;
use ldsink::pipeline::ack::Ledger;
use ldsink::pipeline::batch::OpenBatch;
use ldsink::pipeline::decode::{Decoded, Room, decode as decoded};
use ldsink::pipeline::route::projection::Picks;
use ldsink::pipeline::route::{Router, TopicRoutes};
use tokio::time::Instant;
use uuid::Uuid;

use crate::event_path::{EventPath, config, record};
use crate::record::{Shape, record as text_of};

const AT_MS: i64 = 1_767_225_600_000;
const BATCH: usize = 1_000;

/// The formats that a shape is read in, by the name of the measurement.
const READINGS: [(&str, Shape, Format); 8] = [
    ("json", Shape::Plain, Format::Json),
    ("debezium", Shape::Debezium, Format::Debezium),
    ("debezium-schema", Shape::DebeziumWithSchema, Format::Debezium),
    ("debezium-flat", Shape::Plain, Format::DebeziumFlat),
    ("maxwell", Shape::Maxwell, Format::Maxwell),
    ("auto-json", Shape::Plain, Format::Auto),
    ("auto-debezium", Shape::Debezium, Format::Auto),
    ("auto-debezium-schema", Shape::DebeziumWithSchema, Format::Auto),
];

fn text(shape: Shape, n: usize) -> String {
    let mut text = String::new();
    text_of(shape, 1, n, AT_MS, &mut text);
    text
}

fn reading(format: Format) -> Reading {
    Reading { format, before: BeforePolicy::default() }
}

fn change<'a>(
    format: Format,
    wanted: Wanted,
    record: &Record<'a>,
    room: &'a mut Room,
) -> Change<'a> {
    match decoded(reading(format), wanted, record, room) {
        Ok(Decoded::Change(change)) => change,
        other => panic!("no change: {other:?}"),
    }
}

fn routes() -> Arc<TopicRoutes> {
    Router::new(&config("json", BATCH).pipeline.routes).topic("t").unwrap()
}

fn bytes(text: &str) -> Throughput {
    Throughput::Bytes(u64::try_from(text.len()).unwrap())
}

fn records(count: usize) -> Throughput {
    Throughput::Elements(u64::try_from(count).unwrap())
}

/// Bytes to a change. A plain object is read when its fields are picked, not before.
pub(crate) fn decode(criterion: &mut Criterion) {
    let wanted = routes().groups()[0].wanted;
    let mut group = criterion.benchmark_group("decode");
    for (name, shape, format) in READINGS {
        let text = text(shape, 1);
        group.throughput(bytes(&text));
        group.bench_function(name, |bencher| {
            let (record, mut room) = (record(1, &text), Room::default());
            bencher.iter(|| change(format, wanted, &record, &mut room).op);
        });
    }
    group.finish();
}

/// A change to the mapped fields, and those to an event in a body.
pub(crate) fn pick_and_route(criterion: &mut Criterion) {
    let routes = routes();
    let group_of_routes = &routes.groups()[0];
    let mut group = criterion.benchmark_group("route");
    for (name, shape, format) in &READINGS[..3] {
        let (text, mut room, mut picks) = (text(*shape, 1), Room::default(), Picks::default());
        let record = record(1, &text);
        let change = change(*format, group_of_routes.wanted, &record, &mut room);
        group.bench_function(BenchmarkId::new("pick", name), |bencher| {
            bencher.iter(|| group_of_routes.pick(&change, &mut picks).unwrap());
        });
        let (mut body, mut operations) = (Vec::with_capacity(1_000), Vec::new());
        group.bench_function(BenchmarkId::new("apply", name), |bencher| {
            bencher.iter(|| {
                body.clear();
                let route = &group_of_routes.routes[0];
                route.apply(&change, &picks, &mut body, &mut operations).unwrap()
            });
        });
    }
    group.finish();
}

/// Events of 150 bytes into batches of a thousand records.
fn fill(open: &mut OpenBatch, now: Instant) -> bool {
    const EVENT: [u8; 150] = [b','; 150];
    for offset in 0..i64::try_from(BATCH).unwrap() {
        open.body().extend_from_slice(&EVENT);
        open.count_event(0);
        open.seal(&record(offset, "{}"), now);
    }
    open.is_full()
}

fn open_batch() -> OpenBatch {
    let settings = config("json", BATCH).pipeline.batch;
    OpenBatch::new(settings, TargetId(0), MappingFingerprint(Uuid::nil()))
}

/// A thousand records into a batch, and the batch cut.
pub(crate) fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    group.throughput(records(BATCH));
    group.bench_function("fill and cut", |bencher| {
        let (mut open, now) = (open_batch(), Instant::now());
        bencher.iter(|| {
            assert!(fill(&mut open, now));
            open.cut()
        });
    });
    group.finish();
}

/// A thousand records taken and settled, in order and in two halves out of order.
pub(crate) fn ledger(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(records(BATCH));
    let size = i64::try_from(BATCH).unwrap();
    let mark =
        |offset| Mark { offset, end: 0, events: 1, routes: RouteSet::of(0), time_ms: Some(AT_MS) };
    for (name, in_order) in [("take and settle", true), ("take and settle out of order", false)] {
        group.bench_function(name, |bencher| {
            let (mut ledger, mut next) = (Ledger::default(), 0);
            bencher.iter(|| {
                let marks: Vec<Mark> = (next..next + size).map(mark).collect();
                for mark in &marks {
                    ledger.take(mark.offset, 1, mark.time_ms);
                }
                let (one, two) = marks.split_at(if in_order { BATCH } else { BATCH / 2 });
                ledger.settle(two, Outcome::Delivered);
                ledger.settle(one, Outcome::Delivered);
                next += size;
                ledger.take_closed();
                ledger.take_closed_on();
                ledger.watermark()
            });
        });
    }
    group.finish();
}

/// What becomes of the body of a batch of a thousand records, beyond writing its events: the ID, gzip.
pub(crate) fn body(criterion: &mut Criterion) {
    let mut path = EventPath::new("json", BATCH);
    for n in 0..BATCH {
        path.take(i64::try_from(n).unwrap(), &text(Shape::Plain, n));
    }
    let batch = path.sent();
    let json: Bytes = batch.body.clone();
    let mut group = criterion.benchmark_group("body");
    group.throughput(Throughput::Bytes(u64::try_from(json.len()).unwrap()));
    group.bench_function("payload id", |bencher| bencher.iter(|| batch.payload_id("bench")));
    let target = &config("json", BATCH).targets[0];
    let compression = BodyCompression::Gzip;
    let client = EventsClient::new(target, compression, Duration::from_secs(1)).unwrap();
    group.bench_function("gzip", |bencher| {
        bencher.iter_batched(|| json.clone(), |json| client.body(json), BatchSize::SmallInput);
    });
    group.finish();
}

/// All of it together: a thousand records from bytes to an accepted batch.
pub(crate) fn path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path");
    group.throughput(records(BATCH));
    for (name, shape, format) in [
        ("json", Shape::Plain, "json"),
        ("debezium", Shape::Debezium, "debezium"),
        ("debezium-schema", Shape::DebeziumWithSchema, "debezium"),
    ] {
        let texts: Vec<String> = (0..BATCH).map(|n| text(shape, n)).collect();
        group.bench_function(name, |bencher| {
            let (mut path, mut next) = (EventPath::new(format, BATCH), 0);
            bencher.iter(|| {
                for text in &texts {
                    path.take(next, text);
                    next += 1;
                }
                path.accept();
                path.turn();
            });
        });
    }
    group.finish();
}
