//! No mistake and no view of the configuration tells a secret.

use ldsink::config::Config;
use proptest::prelude::{ProptestConfig, prop_assert, proptest};
use secrecy::ExposeSecret;

use crate::base::{BASE, parse};
use crate::shipped::{fillable, filled};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_value_from_the_environment_is_ever_shown(secret in "(api-|\\$\\.|\\^|https://)?zq9[ -~]{0,24}") {
        let look_up = |name: &str| Some(if name == "SECRET" { &*secret } else { "x:1" }.to_owned());
        let every = fillable();
        for lines in every.iter().map(std::slice::from_ref).chain([&*every]) {
            let text = filled(lines, "\"${SECRET}\"");
            if let Err(mistakes) = Config::parse(&text, "ldsink.yaml", &look_up) {
                let shown = format!("{mistakes} {mistakes:?}");
                prop_assert!(!shown.contains("zq9"), "{shown}");
            }
        }
    }

    #[test]
    fn no_written_token_or_property_is_ever_shown(secret in "[a-zB ]{0,6}zq9[ -~]{0,24}") {
        let quoted = format!("'{}'", secret.replace('\'', "''"));
        let properties = format!(
            "group_id: orders\n  properties:\n    sasl.password: {quoted}\n    \
             auto.offset.reset: {quoted}\n    max.poll.interval.ms: {quoted}"
        );
        for token in [&*quoted, &format!("[{quoted}]"), &format!("'{secret}"), &secret] {
            let text = BASE
                .replace("group_id: orders", &properties)
                .replace("api-very-secret", token);
            let shown = format!("{:?}", parse(&text));
            let mistakes = parse(&text).map_err(|mistakes| mistakes.to_string());
            prop_assert!(!shown.contains("zq9"), "{shown}");
            prop_assert!(!mistakes.is_err_and(|shown| shown.contains("zq9")));
        }
    }
}

#[test]
fn a_usable_configuration_prints_without_its_token() {
    let config = parse(BASE).unwrap();
    assert_eq!(config.targets[0].access_token.expose_secret(), "api-very-secret");
    assert!(!format!("{config:?}").contains("very-secret"));
}

/// What is in force, defaults included, and no secret.
#[test]
fn the_effective_configuration_has_everything_but_secrets() {
    let config = parse(&BASE.replace("key: checkout\n", "key: ${TEN}\n")).unwrap();
    for (key, value) in [
        ("kafka.bootstrap_servers", "localhost:9092"),
        ("kafka.startup_timeout", "30s"),
        ("targets.main.access_token", "[redacted]"),
        ("routes[0].topics[0]", "orders"),
        // From the environment: it may be anything.
        ("routes[0].metric_event.key", "[redacted]"),
        ("batch.max_bytes", "8MB"),
        ("delivery.gzip", "true"),
        ("dead_letter.guard.window", "1000"),
        ("dead_letter.topic", "ldsink.dead-letters"),
        ("admin.listen", "127.0.0.1:9464"),
        ("log.format", "text"),
    ] {
        assert_eq!(config.effective.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!format!("{:?}", config.effective).contains("api-very-secret"));
}
