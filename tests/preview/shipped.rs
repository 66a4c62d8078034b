//! The files of `config/`, previewed and tested as they are.

use std::path::PathBuf;

use crate::run::{Ran, TOKEN, run};

fn shipped(args: &[&str]) -> Ran {
    run(&PathBuf::from(env!("CARGO_MANIFEST_DIR")), args, "", &[("LD_ACCESS_TOKEN", TOKEN)])
}

#[test]
fn the_shipped_records_are_previewed() {
    let ran = shipped(&["preview", "--config", "config/ldsink.yaml", "config/records.jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for said in [
        "  checkout: delivered to production as metric_event {\"context\":",
        "    POST https://events.launchdarkly.com/v2/event-data-import/storefront/production\n",
        "    Authorization: [token]\n",
        "    X-LaunchDarkly-Payload-ID: ",
        "    Content-Encoding: gzip\n",
        "\"metricValue\":49.90,",
        "  checkout: filtered: when\n",
        "  checkout: filtered: tombstone\n",
        "  checkout: refused: missing_field: metric_event.context.organization: ",
        "    remedy: give the field a `default`",
        "=> a dead letter with reason missing_field",
        "/api/v2/segments/storefront/production/vip-shoppers/contexts\n",
        "8 records: 5 delivered, 2 filtered, 1 dead-lettered\n",
    ] {
        assert!(ran.out.contains(said), "no {said:?} in:\n{}", ran.out);
    }
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN));
    assert_eq!(ran.err, "", "the token is set and nothing else is missing");
}

#[test]
fn the_shipped_tests_pass_without_a_token() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for args in [
        &["test", "--config", "config/ldsink.yaml", "config/ldsink.test.yaml"][..],
        &["test", "config/ldsink.test.yaml"],
    ] {
        let ran = run(&directory, args, "", &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.ends_with("15 passed, 0 failed\n"), "{}", ran.out);
        assert!(ran.err.contains("LD_ACCESS_TOKEN"), "{}", ran.err);
    }
}

#[test]
fn every_route_of_the_reference_is_tested_and_shown() {
    let config = include_str!("../../config/ldsink.yaml");
    let config = ldsink::config::Config::parse(config, "t", &|_| Some("x:1".into())).unwrap();
    let ran =
        shipped(&["preview", "--json", "--config", "config/ldsink.yaml", "config/records.jsonl"]);
    for route in &config.pipeline.routes {
        let tested = format!("route: {}", route.name);
        assert!(include_str!("../../config/ldsink.test.yaml").contains(&tested), "{tested}");
        let sent = format!("\"routes\":[\"{}\"]", route.name);
        assert!(ran.out.contains(&sent), "{sent}");
    }
}

#[test]
fn every_shipped_configuration_can_be_looked_at_without_its_variables() {
    let record = r#"{"op":"c","after":{"id":1,"user_id":"u","org_id":"o","total":1,"status":"paid","created_at":1767261600}}"#;
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for config in ["config/ldsink.yaml", "config/demo.yaml", "config/compose/ldsink.yaml"] {
        let args = ["preview", "--config", config, "--topic", "shop.public.orders"];
        let ran = run(&directory, &args, record, &[]);
        assert_eq!(ran.code, Some(0), "{config}: {ran:?}");
        assert!(ran.out.contains("1 record: 1 delivered, "), "{config}: {ran:?}");
        assert!(ran.err.contains("a placeholder stands for it: "), "{config}: {ran:?}");
    }
}
