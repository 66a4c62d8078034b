//! The other sections: their ranges and their choices.

use crate::base::{BASE, appended, parse};

#[test]
fn the_rest_has_its_ranges_and_its_choices() {
    let tail = "\
unmatched: drop
batch: { max_events: 0, max_bytes: 10MB, linger: soon }
delivery: { concurrency: many, gzip: yes, retry_initial: 2m, retry_max: 1m }
dead_letter: { topic: \"^a\" }
limits: { in_flight_bytes: 10MB, partition_in_flight_bytes: 16MB }
commit_interval: 10
drain_deadline: 5m
log: { level: inof, format: xml }";
    appended(
        tail,
        &[
            "17:12: unmatched: `drop` is no choice here; one of ignore, dead_letter",
            "18:22: batch.max_events: `0` is out of range; choose 1 to 100000",
            "18:36: batch.max_bytes: `10MB` is out of range; choose 1KB to 9900KB",
            "18:50: batch.linger: `soon` is not a duration; \
             write it with its unit, like 200ms, 30s or 5m",
            "19:26: delivery.concurrency: `many` is not a whole number; write digits only",
            "19:38: delivery.gzip: `yes` is no choice here; one of true, false",
            "19:58: delivery.retry_initial: is longer than delivery.retry_max; \
             make the first pause the shorter one",
            "20:23: dead_letter.topic: `^a` is a pattern; \
             name each topic; patterns are not supported",
            "21:61: limits.partition_in_flight_bytes: is more than limits.in_flight_bytes, \
             the limit of all partitions together; lower it, or raise the other",
            "22:18: commit_interval: `10` is not a duration; \
             write it with its unit, like 200ms, 30s or 5m",
            "23:17: drain_deadline: `5m` is out of range; choose 1s to 4m",
            "24:15: log.level: `inof` names no level; did you mean `info`?",
            "24:29: log.format: `xml` is no choice here; one of text, json",
        ],
    );
    appended(
        "delivery: { requests_per_second: 0 }",
        &["17:34: delivery.requests_per_second: `0` is out of range; choose 1 to 10000"],
    );
    appended(
        "delivery: { reserve: 0.2, burst: 5 }",
        &[
            "17:22: delivery.reserve: `0.2` is not a share; write it in percent, like 20%",
            "17:34: delivery.burst: has no meaning without delivery.requests_per_second; \
             give both, or neither",
        ],
    );
    appended(
        "delivery: { reserve: 100% }",
        &["17:22: delivery.reserve: `100%` is out of range; choose 0% to 90%"],
    );
    appended(
        "limits: { partition_in_flight_bytes: 4MB }",
        &["17:38: limits.partition_in_flight_bytes: is less than batch.max_bytes, \
           so a full batch would never fit; raise it, or lower the other"],
    );
    appended(
        "log: { level: \"info,ldsink=loud\" }",
        &["17:15: log.level: `info,ldsink=loud` is not a log filter; \
           write a level, or levels by module: info,ldsink::pipeline=debug"],
    );
}

#[test]
fn sizes_are_decimal_or_binary_and_variables_fill_numbers() {
    for (written, bytes) in [("8MiB", 8_388_608), ("1MB", 1_000_000), ("1234", 1234)] {
        let config = parse(&format!("{BASE}batch: {{ max_bytes: {written} }}\n")).unwrap();
        assert_eq!(config.pipeline.batch.max_bytes, bytes);
    }
    let config = parse(&format!("{BASE}batch: {{ max_events: \"${{TEN}}\" }}\n")).unwrap();
    assert_eq!(config.pipeline.batch.max_events, 10);
}

#[test]
fn the_ends_of_a_range_belong_to_it() {
    for (events, is_right) in [(0, false), (1, true), (100_000, true), (100_001, false)] {
        let result = parse(&format!("{BASE}batch: {{ max_events: {events} }}\n"));
        assert_eq!(result.is_ok(), is_right, "{events}");
    }
}
