//! What makes metrics and segments: definitions, keys and kinds.

use crate::base::{BASE, parse, replaced};

#[test]
fn a_computed_definition_fits_its_fields() {
    let event = "    metric_event:\n      target: main\n      key: checkout\n      context: { user: $.row.user_id }\n";
    let metric = "    metric:\n      target: main\n      key: { expr: '\"m-\" + row.id' }\n      \
                  kind: custom\n      is_numeric: { expr: row.unit }\n      \
                  tags: { expr: \"'a' + row.tag\" }\n      name: { from: $.row.x, as: number }\n";
    let remedy = "mend the expression, or choose another `as`";
    replaced(
        event,
        metric,
        &[
            &format!("18:7: routes[0].metric.tags: gives a text, not a list; {remedy}"),
            &format!("19:7: routes[0].metric.name: gives a number, not a text; {remedy}"),
        ],
    );
}

#[test]
fn what_is_literal_in_a_definition_is_checked_beside_what_is_not() {
    let event = "    metric_event:\n      target: main\n      key: checkout\n      context: { user: $.row.user_id }\n";
    let metric = "    metric:\n      target: main\n      key: $.row.key\n      kind: custom\n      \
                  is_numeric: sometimes\n      event_default: { disabled: maybe }\n      \
                  percentile_value: 101\n      name: $.row.name\n";
    let refused = |line: u32, field: &str, problem: &str| {
        let name = field.split('.').next().unwrap_or_default();
        format!(
            "{line}:7: routes[0].metric.{name}: LaunchDarkly would refuse it: {field}: {problem}; \
             mend the definition"
        )
    };
    let flag = "must be true or false";
    // Each mistake once, also where no field is from data.
    replaced(
        event,
        "    metric:\n      target: main\n      key: a\n      kind: custom\n      \
         is_numeric: sometimes\n      success_criteria: Higher\n",
        &[
            &refused(17, "is_numeric", flag).replace("17:7", "17:19"),
            &refused(
                18,
                "success_criteria",
                "must be one of HigherThanBaseline, LowerThanBaseline",
            )
            .replace("18:7", "18:25"),
        ],
    );
    // What cannot be read is not missing, too.
    let remedy = "mend the expression, or choose another `as`";
    replaced(
        event,
        "    metric:\n      target: main\n      key: a\n      kind: custom\n      event_key: a\n      \
         is_numeric: { expr: '1' }\n",
        &[&format!(
            "18:7: routes[0].metric.is_numeric: gives a whole number, not true or false; {remedy}"
        )],
    );
    replaced(
        event,
        metric,
        &[
            &refused(17, "is_numeric", flag).replace("17:7", "17:19"),
            &refused(18, "event_default.disabled", flag),
            &refused(19, "percentile_value", "must be an integer from 0 to 100")
                .replace("19:7", "19:25"),
        ],
    );
}

#[test]
fn what_cannot_be_a_key_or_a_kind_is_refused_at_start() {
    let event = "    metric_event:\n      target: main\n      key: checkout\n      context: { user: $.row.user_id }\n";
    let remedy = "use a letter or digit, then letters, digits, `.`, `_` and `-`, at most 256";
    let key = "cannot be the key of a segment or a metric";
    let segment = |what: &str| {
        format!(
            "    segment_member:\n      target: main\n      context_key: $.row.id\n      {what}\n"
        )
    };
    for (what, said) in [
        (
            "segment: VIP shoppers",
            format!("16:16: routes[0].segment_member.segment: {key}; {remedy}"),
        ),
        (
            "segment: { from: $.row.plan, default: no plan }",
            format!("16:7: routes[0].segment_member.segment: {key}; {remedy}"),
        ),
        (
            "segment: a\n      exclusive: [b, c/d]",
            format!(
                "17:7: routes[0].segment_member.exclusive: has what cannot be the key of a segment; \
                 {remedy}"
            ),
        ),
        (
            "segment: a\n      context_kind: multi",
            "17:21: routes[0].segment_member.context_kind: cannot name a context kind; \
             use letters, digits, `.`, `_`, `-`; `kind` and `multi` are reserved"
                .to_owned(),
        ),
    ] {
        replaced(event, &segment(what), &[&said]);
    }
    let metric = "    metric:\n      target: main\n      key: a b\n      kind: pageview\n      \
                  urls: [{ kind: exact, url: 'https://a.example' }]\n";
    replaced(event, metric, &[&format!("15:12: routes[0].metric.key: {key}; {remedy}")]);
    let cohort = "segment: A cohort\n      kind: synced\n      \
                  synced: { integration_key: amplitude, client_side_id: c }";
    assert!(parse(&BASE.replacen(event, &segment(cohort), 1)).is_ok());
}
