//! The section `routes`, but for what maps fields.

use ldsink::model::batch::TargetId;

use crate::base::{BASE, parse, replaced, said};

#[test]
fn a_synced_segment_that_could_never_be_written_is_refused() {
    let event = "    metric_event:\n      target: main\n      key: checkout\n      context: { user: $.row.user_id }\n";
    let synced = |more: &str, integration: &str| {
        format!(
            "    segment_member:\n      target: main\n      segment: vip\n      \
             context_key: $.row.id\n      kind: synced\n{more}      \
             synced: {{ integration_key: {integration}, client_side_id: c }}\n"
        )
    };
    for (more, integration, problem) in [
        ("", "elsewhere", "is no integration that ldsink can write for"),
        ("      list: excluded\n", "segment-audiences", "has no list of excluded members"),
        ("      context_kind: device\n", "amplitude", "carries no context kind other than user"),
    ] {
        let file = BASE.replacen(event, &synced(more, integration), 1);
        let mistakes = parse(&file).unwrap_err().to_string();
        assert!(mistakes.contains(problem) && mistakes.contains("1 mistake"), "{mistakes}");
    }
    let fixed = synced("", "segment-audiences").replace("_id: c }", "_id: c, cohort_id: vip }");
    assert!(parse(&BASE.replacen(event, &fixed, 1)).is_ok());
    let file = BASE.replacen(event, &fixed.replace("segment: vip", "segment: $.row.tier"), 1);
    let mistakes = parse(&file).unwrap_err().to_string();
    assert!(mistakes.contains("one cohort for all the segments"), "{mistakes}");
    let file = BASE.replacen(event, &synced("", "segment-audiences"), 1);
    assert!(parse(&file).is_ok());
}

#[test]
fn routes_name_their_topics_once_and_never_the_dead_letters() {
    replaced(
        "[orders]",
        "[orders, orders, ldsink.dead-letters, ^shop.*, \"a b\"]",
        &[
            "11:22: routes[0].topics[1]: `orders` stands here a second time; name each topic once",
            "11:30: routes[0].topics[2]: `ldsink.dead-letters` is the dead-letter topic; \
             refused records would come back for ever: choose another dead_letter.topic, \
             or read it with a service of its own",
            "11:51: routes[0].topics[3]: `^shop.*`: the pattern does not end with `$`, \
             so that brokers and clients take it differently; write it like ^shop\\.public\\..*$",
            "11:60: routes[0].topics[4]: `a b` has characters that are not allowed; \
             Kafka's topics have letters, digits, `.`, `_`, `-`",
        ],
    );
    replaced(
        "[orders]",
        "[]",
        &["11:5: routes[0].topics: names no topic; name at least one topic: topics: [shop.orders]"],
    );
    replaced(
        "format: json",
        "format: csv",
        &[
            "12:13: routes[0].format: `csv` is no choice here; one of json, debezium, debezium_flat, \
           maxwell, auto",
        ],
    );
    replaced(
        "format: json",
        "format: json\n    before: full",
        &[
            "13:13: routes[0].before: has no meaning for this format, which invents nothing; remove it",
        ],
    );
    replaced(
        "format: json",
        "format: debezium\n    before: key",
        &["13:13: routes[0].before: `key` is no choice here; one of auto, full, key_only"],
    );
    let second = BASE.split_once("routes:\n").unwrap().1;
    said(
        &format!("{BASE}{second}"),
        &["17:11: routes[1].name: `checkout` is the name of an earlier route; \
           give each route a name of its own"],
    );
    replaced(
        "target: main",
        "target: mian",
        &["14:15: routes[0].metric_event.target: `mian` is not among the targets; \
           did you mean `main`?"],
    );
}

#[test]
fn a_lane_has_the_largest_priority_of_its_routes() {
    let route = |name: &str, more: &str| {
        format!(
            "  - {{ name: {name}, topics: [a], format: json{more}, \
             metric_event: {{ target: main, key: paid, context: {{ user: $.row.u }} }} }}\n"
        )
    };
    let routes = [route("one", ""), route("two", ", priority: 7"), route("three", ", priority: 2")];
    let (head, _) = BASE.split_once("routes:\n").unwrap();
    let pipeline = parse(&format!("{head}routes:\n{}", routes.concat())).unwrap().pipeline;
    assert_eq!(pipeline.priority(TargetId(0), "metric_event"), 7);
    assert_eq!(pipeline.priority(TargetId(0), "metric"), 1);
}
