//! Which spans are begun, and what becomes of those that find no room.

use std::time::Duration;

use super::*;

fn settings(sample_percent: u32, max_queue: usize) -> TraceSettings {
    TraceSettings {
        endpoint: "http://127.0.0.1:1".to_owned(),
        headers: Vec::new(),
        service_name: "ldsink".to_owned(),
        instance: None,
        sample_percent,
        timeout: Duration::from_secs(1),
        linger: Duration::from_secs(1),
        max_queue,
    }
}

fn of(flags: u8) -> Traces {
    let parent = TraceParent { trace: [1; 16], span: [2; 8], flags };
    Traces::of([Some(parent)], true)
}

#[test]
fn the_parent_decides_and_else_the_share() {
    let metrics = Metrics::new().unwrap();
    for (percent, kept) in [(0, 0..=0), (25, 150..=350), (100, 1_000..=1_000)] {
        let (tracer, _exporter) = start(&settings(percent, 10_000), &metrics).unwrap();
        let begin = |traces: &Traces| tracer.begin(traces, String::new);
        let spans = (0..1_000).filter(|_| begin(&Traces::default()).is_some()).count();
        assert!(kept.contains(&spans), "{spans} of {percent}%");
        let child = begin(&of(1)).unwrap().context();
        assert_eq!((child.trace, child.flags), ([1; 16], 1));
        assert_ne!(child.span, [2; 8]);
        assert!(begin(&of(0)).is_none());
    }
    assert!(Tracer::default().begin(&of(1), || panic!("made for nothing")).is_none());
}

#[test]
fn what_finds_no_room_is_counted_o1_o2() {
    let metrics = Metrics::new().unwrap();
    let count = |result: &str| metrics.spans.with_label_values(&[result]).get();
    let (tracer, exporter) = start(&settings(100, 3), &metrics).unwrap();
    for _ in 0..5 {
        tracer.begin(&of(1), String::new).unwrap().end();
    }
    assert_eq!(count("queue_full"), 2);
    drop(exporter);
    tracer.begin(&of(1), String::new).unwrap().end();
    assert_eq!(count("failed"), 1, "nobody exports it any more");
}

#[test]
fn no_setting_of_a_collector_is_shown() {
    let header = ("api-key".to_owned(), "a-secret".into());
    let settings = TraceSettings { headers: vec![header], ..settings(100, 3) };
    let (tracer, exporter) = start(&settings, &Metrics::new().unwrap()).unwrap();
    assert!(!format!("{settings:?} {tracer:?} {exporter:?}").contains("a-secret"));
    let line_break = ("api-key".to_owned(), "a-secret\n".into());
    let settings = TraceSettings { headers: vec![line_break], ..settings };
    let error = start(&settings, &Metrics::new().unwrap()).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("api-key") && !shown.contains("a-secret"), "{shown}");
}
