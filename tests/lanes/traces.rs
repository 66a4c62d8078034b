//! Traces of records go on to LaunchDarkly, and where a collector is named, to it.

use serde_json::{Value, json};

use crate::errands::{self, Errand};
use crate::otlp::{Collector, Export, Mood, Span};
use crate::rig::{House, Rig};

const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNKEPT: &str = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00";
/// Must never be told.
const HEADER: &str = "a-secret-of-the-collector";

/// A house, and in it the requests to LaunchDarkly.
struct Scene {
    house: House,
    /// What the configuration has besides.
    more: String,
}

impl Scene {
    fn new() -> Self {
        Self { house: House::new(), more: String::new() }
    }

    /// With a collector of this mood.
    fn traced(mood: Mood, more: &str) -> (Self, Collector) {
        let scene = Self::new();
        let collector = scene.house.runtime.block_on(Collector::start(mood));
        let url = collector.url();
        let traces =
            format!("traces: {{ endpoint: {url}, headers: {{ api-key: {HEADER} }}, {more} }}\n");
        (Self { more: traces, ..scene }, collector)
    }

    /// Lanes to a project in which nobody has been.
    fn rig(&self, project: &str) -> Rig<'_> {
        let client_side_id = self.house.client_side_id(project);
        let config = errands::config(self.house.sandbox.url(), project, &client_side_id);
        Rig::patient(&self.house, &(config + &self.more))
    }

    fn faults(&self, faults: Value) {
        self.house.runtime.block_on(self.house.sandbox.set_faults(faults));
    }

    /// What each request since the last look carried, with the sandbox's word for it.
    fn carried(&self) -> Vec<(String, Option<String>)> {
        let sandbox = &self.house.sandbox;
        let requests = self.house.runtime.block_on(async {
            let requests = sandbox.requests().await;
            sandbox.forget_journal().await;
            requests
        });
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let carried = |it: &Value| (text(&it["operation"]).unwrap(), text(&it["traceparent"]));
        requests.iter().map(carried).collect()
    }
}

/// What differs from one request of a lane to the next: name, status, error, and the number of attempts
/// before.
fn shown(span: &Span) -> String {
    let Span { name, status, attributes, .. } = span;
    let of = |name: &str| attributes.get(name).map_or("-", String::as_str);
    let (code, error) = (of("http.response.status_code"), of("error.type"));
    assert_eq!(*status == 2, error != "-", "an error has a type");
    assert_eq!(*name, format!("{} {}", of("http.request.method"), of("url.template")));
    format!("{name} {code} {error} {}", of("http.request.resend_count"))
}

fn ids(traceparent: &str) -> (&str, &str) {
    let parts: Vec<&str> = traceparent.split('-').collect();
    (parts[1], parts[2])
}

#[test]
fn every_request_for_records_of_one_trace_carries_it() {
    let scene = Scene::new();
    for (at, errand) in Errand::ALL.into_iter().enumerate() {
        let mut rig = scene.rig(&format!("one-{at}"));
        if let Some(record) = errand.preparation() {
            rig.record(0, &record);
            rig.drain();
        }
        scene.carried();
        rig.traced(0, &errand.record(1), ONE);
        if errand.takes_several() {
            rig.traced(1, &errand.record(2), ONE);
        }
        rig.drain();
        let carried = scene.carried();
        assert!(carried.iter().any(|(request, _)| request == errand.operation()), "{errand:?}");
        for (request, trace) in carried {
            assert_eq!(trace.as_deref(), Some(ONE), "{request} for {errand:?}");
        }
        rig.end();
    }
}

#[test]
fn a_request_for_records_of_several_traces_carries_none() {
    let scene = Scene::new();
    for errand in Errand::ALL.into_iter().filter(|errand| errand.takes_several()) {
        for second in [Some(OTHER), None] {
            let project = format!("several-{}-{}", errand.operation(), second.is_some());
            let mut rig = scene.rig(&project);
            if let Some(record) = errand.preparation() {
                rig.record(0, &record);
                rig.drain();
            }
            scene.carried();
            rig.traced(0, &errand.record(1), ONE);
            match second {
                Some(other) => rig.traced(0, &errand.record(2), other),
                None => rig.record(0, &errand.record(2)),
            };
            rig.drain();
            let carried = scene.carried();
            assert_eq!(carried, [(errand.operation().to_owned(), None)], "{second:?}");
            rig.end();
        }
    }
}

#[test]
fn of_several_definitions_the_one_that_is_sent_counts() {
    let scene = Scene::new();
    let mut rig = scene.rig("storefront");
    rig.traced(0, &Errand::MetricCreation.record(1), OTHER);
    rig.traced(0, &Errand::MetricCreation.record(2), ONE);
    rig.drain();
    for (request, trace) in scene.carried() {
        assert_eq!(trace.as_deref(), Some(ONE), "{request}");
    }
    rig.end();
}

#[test]
fn each_request_is_a_span_of_its_records_trace() {
    let (scene, collector) = Scene::traced(Mood::Takes, "service_name: sink, linger: 10ms");
    scene.faults(json!([
        { "operation": "metric_import", "times": 1, "action": { "kind": "status", "status": 503 } },
        { "operation": "segment_contexts", "times": 1, "action": { "kind": "cut_before_accept" } },
    ]));
    let mut rig = scene.rig("storefront");
    rig.traced(0, &Errand::Events.record(1), ONE);
    rig.traced(0, &Errand::Events.record(2), ONE);
    rig.traced(1, &Errand::SegmentCreation.record(3), OTHER);
    rig.drain();
    let carried = scene.carried();
    rig.end();
    let spans = collector.spans();
    let of = |trace: &str| {
        let (trace, parent) = ids(trace);
        let own = spans.iter().filter(|span| span.trace == trace);
        assert!(own.clone().all(|span| span.parent == parent && span.links.is_empty()));
        own.map(shown).collect::<Vec<_>>()
    };
    let import = "POST /v2/event-data-import/{projectKey}/{environmentKey}";
    assert_eq!(of(ONE), [format!("{import} 503 503 -"), format!("{import} 202 - 1")]);
    let segments = "POST /api/v2/segments/{projectKey}/{environmentKey}";
    let contexts = format!("{segments}/{{segmentKey}}/contexts");
    assert_eq!(
        of(OTHER),
        [
            format!("{contexts} - network -"),
            // No failure: the segment is missing, which is what it was to find out.
            format!("{contexts} 404 - 1"),
            format!("{segments} 201 - -"),
            format!("{contexts} 204 - -"),
        ]
    );
    // Each request carries the context of its own span.
    let context = |it: &Span| Some(format!("00-{}-{}-01", it.trace, it.id));
    let mut told: Vec<_> = spans.iter().map(context).collect();
    let mut carried: Vec<_> = carried.into_iter().map(|(_, trace)| trace).collect();
    told.sort();
    carried.sort();
    assert_eq!(carried, told);
}

#[test]
fn a_span_says_where_and_what_and_nothing_of_a_record() {
    let (scene, collector) = Scene::traced(Mood::Takes, "service_name: sink, linger: 10ms");
    let mut rig = scene.rig("storefront");
    rig.traced(2, &Errand::Events.record(1), ONE);
    rig.traced(2, &Errand::Events.record(2), ONE);
    rig.drain();
    rig.traced(1, &Errand::MetricCreation.record(3), ONE);
    rig.drain();
    rig.traced(1, &Errand::SegmentCreation.record(4), ONE);
    rig.drain();
    rig.end();
    let exports = collector.exports();
    let span = &exports[0].spans[0];
    let url = scene.house.sandbox.url().strip_prefix("http://").unwrap();
    let (host, port) = url.split_once(':').unwrap();
    let expected = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "202"),
        ("ldsink.operation", "metric_event"),
        ("ldsink.target", "production"),
        ("messaging.batch.message_count", "2"),
        ("messaging.destination.name", "t"),
        ("messaging.destination.partition.id", "2"),
        ("messaging.system", "kafka"),
        ("server.address", host),
        ("server.port", port),
        ("url.template", "/v2/event-data-import/{projectKey}/{environmentKey}"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(span.attributes, expected.into());
    // A client's, sampled, with a parent in another process.
    assert_eq!((span.kind, span.flags), (3, 0x301));
    assert!(span.nanoseconds > 0);
    let resource = &exports[0].resource;
    assert_eq!((&*resource["service.name"], resource.len()), ("sink", 3));
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["service.instance.id"].len(), 36);
    for Export { path, headers, body, .. } in exports {
        assert_eq!((&*path, &*headers["api-key"]), ("/v1/traces", HEADER));
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let text = String::from_utf8_lossy(&body).into_owned();
        // The collector's header, LaunchDarkly's token, members and names, and the project.
        for secret in [HEADER, "api-sandbox", "m-1", "m-2", "m-3", "m-4", "storefront"] {
            assert!(!text.contains(secret), "{secret} is told");
        }
    }
}

#[test]
fn a_request_for_several_traces_is_a_span_with_links_and_one_for_none_without() {
    let (scene, collector) = Scene::traced(Mood::Takes, "linger: 10ms");
    for errand in [Errand::Events, Errand::BigMembers] {
        let before = collector.spans().len();
        let mut rig = scene.rig(errand.operation());
        rig.record(0, &errand.record(9));
        rig.drain();
        scene.carried();
        for (partition, member, trace) in
            [(0, 1, Some(ONE)), (0, 2, Some(OTHER)), (0, 3, None), (0, 4, Some(ONE))]
        {
            match trace {
                Some(trace) => rig.traced(partition, &errand.record(member), trace),
                None => rig.record(partition, &errand.record(member)),
            };
        }
        rig.drain();
        let carried = scene.carried();
        rig.end();
        let spans = collector.spans().split_off(before);
        let span = spans.last().unwrap();
        let link = |trace| {
            let (trace, span) = ids(trace);
            (trace.to_owned(), span.to_owned())
        };
        let mut links = span.links.clone();
        links.sort();
        assert_eq!(links, [link(ONE), link(OTHER)], "{errand:?}");
        assert_eq!((&*span.parent, span.dropped_links, span.status), ("", 0, 0));
        assert_eq!(span.attributes["messaging.batch.message_count"], "4");
        let context = format!("00-{}-{}-01", span.trace, span.id);
        assert_eq!(carried, [(errand.operation().to_owned(), Some(context))]);
        // The one before was for a record of no trace.
        let first = spans.iter().rev().nth(1).unwrap();
        assert!(first.links.is_empty() && first.parent.is_empty() && first.trace != span.trace);
    }
}

#[test]
fn more_traces_than_a_span_takes_links_are_counted() {
    let (scene, collector) = Scene::traced(Mood::Takes, "linger: 10ms");
    let mut rig = scene.rig("storefront");
    for member in 1..=100 {
        let trace = format!("00-{member:032x}-{member:016x}-01");
        rig.traced(0, &Errand::Events.record(member), &trace);
    }
    rig.drain();
    rig.end();
    let spans = collector.spans();
    assert_eq!((spans.len(), spans[0].links.len(), spans[0].dropped_links), (1, 64, 36));
}

#[test]
fn what_nobody_keeps_is_not_exported_and_goes_on_as_it_is() {
    let (scene, collector) = Scene::traced(Mood::Takes, "linger: 10ms, sample: 0%");
    let mut rig = scene.rig("storefront");
    rig.traced(0, &Errand::Events.record(1), UNKEPT);
    rig.drain();
    rig.record(0, &Errand::Events.record(2));
    rig.drain();
    // Whoever began the trace decides, not our share of those that begin here.
    rig.traced(0, &Errand::Events.record(3), ONE);
    rig.drain();
    let carried: Vec<_> = scene.carried().into_iter().map(|(_, trace)| trace).collect();
    rig.end();
    let spans = collector.spans();
    assert_eq!((spans.len(), &*spans[0].trace), (1, ids(ONE).0));
    let own = format!("00-{}-{}-01", spans[0].trace, spans[0].id);
    assert_eq!(carried, [Some(UNKEPT.to_owned()), None, Some(own)]);
}

/// Records go on whatever the collector does, and no span is lost without being counted.
#[test]
fn a_collector_that_fails_holds_nothing_up() {
    for (mood, result) in [
        (Mood::Answers(400), "failed"),
        (Mood::Answers(503), "failed"),
        (Mood::Hangs, "failed"),
        (Mood::RejectsOne, "rejected"),
    ] {
        let (scene, collector) = Scene::traced(mood, "linger: 10ms, timeout: 1s, max_queue: 100");
        let scene = Scene { more: scene.more.clone() + "batch: { max_events: 1 }\n", ..scene };
        let mut rig = scene.rig("storefront");
        for member in 0..400 {
            rig.traced(0, &Errand::Events.record(member), ONE);
        }
        rig.drain();
        let metrics = rig.metrics.clone();
        let of = |result: &str| metrics.spans.with_label_values(&[result]).get();
        let settled = rig.end();
        assert!(settled.values().all(|it| it.accepted == 1 && it.dead == 0));
        let sums = ["exported", "rejected", "queue_full", "failed"].map(of);
        assert_eq!(sums.iter().sum::<u64>(), 400, "{mood:?}: {sums:?}");
        assert!(of(result) > 0, "{mood:?}: {sums:?}");
        assert!(mood != Mood::Hangs || of("queue_full") > 0, "{sums:?}");
        assert!(!collector.exports().is_empty());
    }
}

#[test]
fn a_collector_that_comes_back_gets_what_waited() {
    let (scene, collector) = Scene::traced(Mood::Answers(503), "linger: 10ms");
    let mut rig = scene.rig("storefront");
    rig.traced(0, &Errand::Events.record(1), ONE);
    rig.drain();
    rig.until("an attempt", |_| !collector.exports().is_empty());
    collector.is_now(Mood::Takes);
    let metrics = rig.metrics.clone();
    let exported = || metrics.spans.with_label_values(&["exported"]).get();
    rig.until("the span to be exported", |_| exported() == 1);
    let exports = collector.exports();
    assert!(exports.len() > 1 && exports.iter().all(|it| it.body == exports[0].body));
    rig.end();
}
