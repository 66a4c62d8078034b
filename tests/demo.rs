//! The built binary's `demo`, as a newcomer runs it: what it says, what it prints for programs, and
//! how it ends.
#![cfg(test)]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// A demo of a few thousand records takes a second; a loaded machine may need longer.
const WITHIN: Duration = Duration::from_secs(120);

fn demo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .arg("demo")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_small_demo_proves_itself_and_ends_with_0() {
    let Output { status, stdout, stderr } = demo(&["--records", "5000", "--json"]);
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert_eq!(status.code(), Some(0), "{stdout}\n{stderr}");

    let result: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let number = |field: &str| result[field].as_u64().unwrap_or_else(|| panic!("{field}"));
    assert_eq!(number("produced"), 5_000);
    assert_eq!(number("lost"), 0);
    assert_eq!(number("counted_twice"), 0);
    assert_eq!(number("unexpected"), 0);
    let found = [number("delivered"), number("filtered"), number("dead_lettered")];
    assert!(found.iter().all(|count| *count > 0), "every kind of outcome is shown: {found:?}");
    assert_eq!(number("produced"), found.iter().sum::<u64>() + number("lost"));
    assert!(result["elapsed_seconds"].as_f64().unwrap() > 0.0);
    assert!(result["latency_ms"]["p99"].as_i64().unwrap() >= 0);

    for said in
        ["5,000  changes produced", "0  lost", "0  counted twice", "tombstones", "order by order"]
    {
        assert!(stderr.contains(said), "no {said:?} in:\n{stderr}");
    }
    for noise in ["WARN", "ERROR"] {
        assert!(!stderr.contains(noise), "a demo that goes well logs nothing:\n{stderr}");
    }
}

#[test]
fn without_json_the_summary_is_the_output() {
    let Output { status, stdout, stderr } = demo(&["--records", "200"]);
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert_eq!(status.code(), Some(0), "{stdout}\n{stderr}");
    assert!(stdout.contains("Nothing lost, nothing counted twice."), "{stdout}");
    assert!(stdout.contains("200  changes produced"), "{stdout}");
}

#[test]
fn a_number_of_records_that_makes_no_sense_is_refused_in_clear_words() {
    for records in ["0", "1000001", "-5", "many"] {
        let Output { status, stdout, stderr } = demo(&["--records", records]);
        let stderr = text(&stderr);
        assert_eq!(status.code(), Some(2), "{records}: {stderr}");
        assert!(stderr.contains("--records"), "{records}: {stderr}");
        assert!(stdout.is_empty());
    }
    let stderr = text(&demo(&["--records", "0"]).stderr);
    assert!(stderr.contains("0 is not in 1..=1000000"), "{stderr}");
}

#[tokio::test]
async fn keep_running_leaves_everything_up_until_it_is_stopped() {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .args(["demo", "--records", "500", "--keep-running"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut addresses = Vec::new();
    let told = async {
        while addresses.len() < 2 {
            let line = lines.next_line().await.unwrap().expect("the addresses come before the end");
            let url = line.split_whitespace().find(|word| word.starts_with("http"));
            addresses.extend(
                url.filter(|url| url.ends_with("/metrics") || url.ends_with("/journal"))
                    .map(str::to_owned),
            );
        }
    };
    tokio::time::timeout(WITHIN, told).await.unwrap();
    for address in &addresses {
        assert_eq!(reqwest::get(address).await.unwrap().status(), 200, "{address}");
    }

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = tokio::time::timeout(WITHIN, child.wait()).await.unwrap().unwrap();
    let mut rest = String::new();
    lines.into_inner().read_to_string(&mut rest).await.unwrap();
    assert_eq!(status.code(), Some(0), "{rest}");
    assert!(rest.contains("Nothing lost, nothing counted twice."), "{rest}");
}

#[tokio::test]
async fn ctrl_c_ends_early_with_a_verdict_on_what_was_produced() {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .args(["demo", "--records", "1000000", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let under_way = async {
        while let Some(line) = said.next_line().await.unwrap() {
            if line.contains("produced,") {
                return;
            }
        }
        panic!("no progress was shown");
    };
    tokio::time::timeout(WITHIN, under_way).await.unwrap();
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut stderr = String::new();
    said.into_inner().read_to_string(&mut stderr).await.unwrap();
    let output = tokio::time::timeout(WITHIN, child.wait_with_output()).await.unwrap().unwrap();
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let result: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let produced = result["produced"].as_u64().unwrap();
    assert!((1..1_000_000).contains(&produced), "{result}");
    assert!(stderr.contains("stopped early"), "{stderr}");
}
