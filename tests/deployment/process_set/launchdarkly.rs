//! The one switch: with `config/compose/launchdarkly.env.example` filled in, the set is for a real account.
//! Nothing is sent to it here.

use super::container::execute;
use super::set::ProcessSet;
use crate::configuration::filled_in_example;

/// What `ldsink check` says in ldsink's container, and its exit code.
async fn checked(env_file: &[(&str, &str)]) -> (Option<i32>, String) {
    let set = ProcessSet::lay_out(env_file);
    let words = ["ldsink", "check", "/etc/ldsink/ldsink.yaml"].map(str::to_owned);
    let output = execute(set.service("ldsink"), &set.places, &words).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn the_switch_to_a_real_account_is_a_valid_configuration() {
    let example = filled_in_example("api-0123456789");
    let filled: Vec<_> =
        example.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (code, said) = checked(&filled).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("valid (1 routes, 1 topics, 1 targets)"), "{said}");

    // It is these values that are checked.
    let mut in_the_clear = filled.clone();
    in_the_clear.retain(|(name, _)| *name != "LDSINK_EVENTS_URL");
    in_the_clear.push(("LDSINK_EVENTS_URL", "http://events.launchdarkly.com"));
    let (code, said) = checked(&in_the_clear).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("events_url") && !said.contains("api-0123456789"), "{said}");
}
