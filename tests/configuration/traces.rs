//! Where spans go: addressed rightly, secrets encrypted and never shown.

use secrecy::ExposeSecret;

use crate::base::{BASE, appended, parse};

#[test]
fn a_collector_is_addressed_and_its_headers_are_secret() {
    let config = parse(&format!(
        "{BASE}traces: {{ endpoint: \"http://[::1]:4318/otlp/\", headers: {{ api-key: Bearer zq9 }} }}\n"
    ));
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let traces = config.traces.clone().unwrap();
    assert_eq!(traces.endpoint, "http://[::1]:4318/otlp");
    assert_eq!(
        (&*traces.headers[0].0, traces.headers[0].1.expose_secret()),
        ("api-key", "Bearer zq9")
    );
    assert_eq!(config.effective["traces.headers.api-key"], "[redacted]");
    assert!(config.pipeline.batch.links && !format!("{config:?}").contains("zq9"));
    let collector = "traces: { endpoint: http://collector:4318 }";
    assert!(parse(&format!("{BASE}{collector}")).is_ok(), "without headers there is no secret");
    appended(
        "traces: { endpoint: http://collector:4318, headers: { api-key: x } }",
        &[
            "17:21: traces.endpoint: `http://collector:4318` would carry the headers in clear over the \
           network; use https://",
        ],
    );
    appended(
        "traces: { endpoint: http://localhost:4318/v1/traces }",
        &[
            "17:21: traces.endpoint: `http://localhost:4318/v1/traces` is more than the base address; \
           leave /v1/traces out: it is added",
        ],
    );
    appended(
        "traces: { headers: { api-key: x } }",
        &["17:11: traces.headers: has no meaning without traces.endpoint; give both, or neither"],
    );
    appended(
        "traces: { endpoint: http://localhost:4318, headers: { \"a b\": \"zq9\\n\" } }",
        &[
            "17:55: traces.headers.a b: cannot name a header; use letters, digits, `-` and `_`",
            "17:62: traces.headers.a b: the value (not shown) has characters that are not allowed; \
             use printable ASCII characters on one line",
        ],
    );
}

#[test]
fn a_static_member_of_the_group_is_an_instance_of_the_same_name() {
    let traces = "traces: { endpoint: http://localhost:4318 }\n";
    let member = "group_id: orders\n  properties: { group.instance.id: ldsink-0 }";
    let named = BASE.replacen("group_id: orders", member, 1);
    let instance = |text: &str| parse(&format!("{text}{traces}")).unwrap().traces.unwrap().instance;
    assert_eq!(instance(&named).as_deref(), Some("ldsink-0"));
    assert_eq!(instance(BASE), None);
}
