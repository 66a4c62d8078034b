//! The files in `config/`: the reference has everything and tells the truth, and so does the demo's.

use ldsink::config::Config;
use ldsink::config::keys::SECTIONS;
use ldsink::model::topic::TopicSelector;

use crate::base::{BASE, parse};

pub(crate) const REFERENCE: &str = include_str!("../../config/ldsink.yaml");

const DEMO: &str = include_str!("../../config/demo.yaml");

/// Lines of the reference whose value a variable can fill.
pub(crate) fn fillable() -> Vec<usize> {
    let has_value = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ");
        !line.starts_with('#') && line.split_once(": ").is_some_and(|(_, value)| !value.is_empty())
    };
    let lines = REFERENCE.lines().enumerate();
    lines.filter(|(_, line)| has_value(line)).map(|(index, _)| index).collect()
}

/// The reference with other values on some lines.
pub(crate) fn filled(lines: &[usize], value: &str) -> String {
    let fill = |(index, line): (usize, &str)| match line.split_once(": ") {
        Some((key, _)) if lines.contains(&index) => format!("{key}: {value}\n"),
        _ => format!("{line}\n"),
    };
    REFERENCE.lines().enumerate().map(fill).collect()
}

#[test]
fn the_reference_shows_the_defaults() {
    let reference = parse(REFERENCE).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let defaults = parse(BASE).unwrap();
    let (shown, built_in) = (&reference.pipeline, &defaults.pipeline);
    assert_eq!(shown.unmatched, built_in.unmatched);
    assert_eq!(shown.batch, built_in.batch);
    assert_eq!(shown.delivery, built_in.delivery);
    assert_eq!(shown.dead_letter, built_in.dead_letter);
    assert_eq!(shown.limits, built_in.limits);
    assert_eq!(shown.checks, built_in.checks);
    assert_eq!(shown.routes[0].checks, built_in.routes[0].checks);
    assert_eq!(shown.commit_interval, built_in.commit_interval);
    assert_eq!(shown.drain_deadline, built_in.drain_deadline);
    assert_eq!(reference.admin.listen, defaults.admin.listen);
    assert!(reference.admin.token.is_none() && defaults.admin.token.is_none());
    assert_eq!(reference.log, defaults.log);
    let traces = |config: &Config| {
        let keys = ["service_name", "sample", "timeout", "linger", "max_queue"];
        (
            config.traces.is_none(),
            keys.map(|key| config.effective[&format!("traces.{key}")].clone()),
        )
    };
    assert_eq!(traces(&reference), traces(&defaults));
    assert_eq!(reference.kafka.startup_timeout, defaults.kafka.startup_timeout);
    assert_eq!(reference.kafka.properties, defaults.kafka.properties);
    let (shown, built_in) = (&reference.targets[0], &defaults.targets[0]);
    assert_eq!(shown.company, built_in.company);
    assert_eq!(shown.events_url, built_in.events_url);
    assert_eq!(shown.api_url, built_in.api_url);
}

#[test]
fn the_reference_has_every_key() {
    for section in SECTIONS {
        let top = section.section.split(['.', '[']).next().unwrap_or_default();
        for key in section.keys {
            let is_there = lines_of(top).any(|line| {
                let line = line.trim_start().trim_start_matches(['#', ' ', '-']);
                line.contains(&format!("{{ {key}: "))
                    || line.contains(&format!(", {key}: "))
                    || line.starts_with(&format!("{key}:"))
            });
            assert!(is_there, "{}.{key} is missing in config/ldsink.yaml", section.section);
        }
    }
}

/// The lines of a top-level section of the reference, comments above its key excluded; all lines
/// for the root.
fn lines_of(top: &str) -> impl Iterator<Item = &'static str> {
    let is_top = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase());
    let start = REFERENCE.lines().position(|line| line.starts_with(&format!("{top}:")));
    let rest = REFERENCE.lines().skip(start.unwrap_or(0));
    let whole = top.is_empty();
    rest.enumerate().take_while(move |(n, line)| whole || *n == 0 || !is_top(line)).map(|(_, l)| l)
}

#[test]
fn the_reference_states_the_ranges() {
    let mut stated = 0;
    for line in fillable() {
        // A day, and more events, bytes and percent than any range allows.
        for value in ["86400s", "4000000000", "999999999999", "400%"] {
            let Err(mistakes) = parse(&filled(&[line], value)) else { continue };
            let Some(mistake) = mistakes.iter().find(|m| m.problem.ends_with("is out of range"))
            else {
                continue;
            };
            let range = mistake.remedy.strip_prefix("choose ").unwrap();
            let above: Vec<&str> =
                REFERENCE.lines().take(line).skip(line.saturating_sub(2)).collect();
            assert!(above.concat().contains(range), "line {}: {range}", line + 1);
            stated += 1;
            break;
        }
    }
    assert_eq!(stated, 27, "keys with a range");
}

#[test]
fn the_demo_file_says_what_the_demo_shows() {
    let look_up = |name: &str| match name {
        "LDSINK_DEMO_BOOTSTRAP" => Some("127.0.0.1:19092".to_owned()),
        "LDSINK_DEMO_SANDBOX_URL" => Some("http://127.0.0.1:18080".to_owned()),
        "LDSINK_DEMO_TOKEN" => Some("api-demo".to_owned()),
        _ => None,
    };
    let config = Config::parse(DEMO, "config/demo.yaml", &look_up)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.targets[0].name, "demo");
    assert_eq!(config.targets[0].events_url, "http://127.0.0.1:18080");
    let topics = config.pipeline.topics();
    let topics: Vec<_> = topics.iter().map(TopicSelector::as_str).collect();
    assert_eq!(topics, ["shop.public.orders"]);
    assert_eq!(config.pipeline.routes[0].name, "checkout");
    let missing = Config::parse(DEMO, "config/demo.yaml", &|_| None).unwrap_err();
    assert_eq!(missing.iter().count(), 4, "{missing}");
}
