//! The README says what is so: its examples are valid and its lists are complete.

#![cfg(test)]

use std::sync::Mutex;

use ldsink::config::{Config, cases};
use ldsink::model::outcome::{FilterReason, RefusalReason};
use ldsink::preview::cases::run;
use ldsink::preview::explain::Explainer;
use ldsink::telemetry::metrics::{self, DECLARATIONS};

const README: &str = include_str!("../README.md");
const METRICS_BEGIN: &str = "<!-- metrics, generated: LDSINK_UPDATE=1 cargo test --test readme -->";
const METRICS_END: &str = "<!-- end of metrics -->";
const RESULTS: &str = include_str!("../benches/results.md");
const BENCH_BEGIN: &str = "<!-- bench -->";
const BENCH_END: &str = "<!-- end of bench -->";

/// The fenced blocks of a language, without the indentation of the list they stand in.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Vec<String>)> = None;
    for line in README.lines() {
        let text = line.trim_start();
        match &mut open {
            None if text == format!("```{language}") => {
                open = Some((line.len() - text.len(), Vec::new()));
            }
            None => {}
            Some(_) if text == "```" => blocks.extend(open.take().map(|(_, b)| b.join("\n"))),
            Some((indent, block)) => {
                block.push(line.get(*indent..).unwrap_or_default().to_owned());
            }
        }
    }
    blocks
}

#[test]
fn every_configuration_is_valid() {
    let examples = blocks("yaml");
    assert!(!examples.is_empty());
    for example in examples {
        if example.starts_with("cases:") {
            let reference = include_str!("../config/ldsink.yaml");
            let config = Config::parse(reference, "ldsink.yaml", &|_| Some("x:1".to_owned()));
            let cases = cases::read(&example, "README.md", config.as_ref().unwrap());
            let config = config.unwrap();
            let explainer = Explainer::try_new(&config.pipeline, &config.targets).unwrap();
            for case in cases.unwrap_or_else(|mistakes| panic!("{mistakes}")) {
                assert!(run(&case, &explainer).is_ok(), "{case:?}");
            }
            continue;
        }
        let parsed = Config::parse(&example, "README.md", &|_| Some("value".to_owned()));
        assert!(parsed.is_ok(), "{}\n{example}", parsed.unwrap_err());
    }
}

#[test]
fn every_reason_is_listed() {
    let section = README.split("## What failures look like").nth(1).unwrap();
    let rows = section.split("| reason | remedy |\n|---|---|\n").nth(1).unwrap();
    let catalogue = RefusalReason::ALL.map(|it| format!("| `{}` | {} |", it.as_str(), it.remedy()));
    assert_eq!(rows.split("\n\n").next().unwrap(), catalogue.join("\n"));
    for reason in FilterReason::ALL.map(FilterReason::as_str) {
        assert!(section.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn every_command_and_metric_it_names_exists() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_ldsink")).arg("--help").output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    for command in ["run", "demo", "check", "preview", "test", "dlq", "sandbox", "completions"] {
        assert!(README.contains(&format!("ldsink {command}")) || command == "demo", "{command}");
        assert!(help.contains(&format!("  {command} ")), "{command} is not in --help");
    }
    for named in README.split("`ldsink_").skip(1) {
        let name: String = named.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let name = format!("ldsink_{name}");
        assert!(DECLARATIONS.iter().any(|it| it.name == name), "no metric {name}");
    }
}

/// What stands between two marks. `LDSINK_UPDATE=1 cargo test --test readme` writes it anew.
fn assert_between(begin: &str, end: &str, wanted: &str) {
    static WRITING: Mutex<()> = Mutex::new(());
    let (_, rest) = README.split_once(begin).expect(begin);
    let (there, _) = rest.split_once(end).expect(end);
    if std::env::var_os("LDSINK_UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let _alone = WRITING.lock().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(begin).unwrap();
        let (_, after) = rest.split_once(end).unwrap();
        std::fs::write(path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
    } else {
        assert!(
            there == wanted,
            "out of date; `LDSINK_UPDATE=1 cargo test --test readme` mends it"
        );
    }
}

#[test]
fn the_table_of_metrics_is_what_is_declared() {
    assert_between(METRICS_BEGIN, METRICS_END, &format!("\n\n{}\n\n", metrics::table()));
}

#[test]
fn the_figures_are_those_of_the_newest_whole_run() {
    // There is none before the first.
    let newest = RESULTS.rsplit_once(BENCH_BEGIN).map_or("\n", |(_, newest)| {
        let (newest, _) = newest.split_once(BENCH_END).expect(BENCH_END);
        newest
    });
    assert_between(BENCH_BEGIN, BENCH_END, newest);
}

/// Each command line of the section on previews, but for the one that needs Kafka.
#[test]
fn every_preview_and_test_it_shows_works() {
    let binary = env!("CARGO_BIN_EXE_ldsink");
    let mut ran = 0;
    let shown = blocks("sh").join("\n");
    for line in
        shown.lines().filter(|line| line.contains("ldsink preview") || line.contains("ldsink test"))
    {
        if line.contains("--from-topic") {
            continue;
        }
        let command = line.replace("ldsink preview", &format!("{binary} preview"));
        let command = command.replace("ldsink test", &format!("{binary} test"));
        let output = std::process::Command::new("sh")
            .args(["-c", &command])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        ran += 1;
        if command.contains("records.jsonl") {
            let example = blocks("text");
            let example = example.iter().find(|block| block.contains("@3")).unwrap();
            assert!(said.contains(example.as_str()), "the README shows:\n{example}\nnot:\n{said}");
        }
    }
    assert_eq!(ran, 3);
}
