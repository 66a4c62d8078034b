//! `config/compose/ldsink.yaml` with the variables that `docker-compose.yml` sets.

use std::collections::HashMap;

use ldsink::config::Config;
use ldsink::launchdarkly::settings::Instance;
use ldsink::sandbox::DEFAULT_TOKEN;
use secrecy::ExposeSecret;

use crate::compose::services;
use crate::files::{text, texts};

const EXAMPLE: &str = "config/compose/launchdarkly.env.example";

/// The configuration as ldsink's container reads it, with these variables in `.env`.
pub(crate) fn configuration(env_file: &[(&str, &str)]) -> Config {
    let given: HashMap<&str, &str> = env_file.iter().copied().collect();
    let service = &services()["ldsink"];
    let environment: HashMap<String, String> = service["environment"]
        .as_object()
        .expect("an environment")
        .iter()
        .map(|(name, value)| (name.clone(), substituted(value.as_str().unwrap(), &given)))
        .collect();
    let lookup = |name: &str| environment.get(name).cloned();
    Config::parse(&text("config/compose/ldsink.yaml"), "ldsink.yaml", &lookup)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Compose's own substitution, in the one form used here: `${NAME:-default}` as the whole value.
pub(crate) fn substituted(value: &str, given: &HashMap<&str, &str>) -> String {
    let Some(inner) = value.strip_prefix("${").and_then(|it| it.strip_suffix('}')) else {
        assert!(!value.contains('$'), "{value}: not a form this test knows");
        return value.to_owned();
    };
    let (name, default) = inner.split_once(":-").expect("a default");
    given.get(name).copied().filter(|it| !it.is_empty()).unwrap_or(default).to_owned()
}

#[test]
fn without_variables_it_is_the_sandbox() {
    let config = configuration(&[]);
    let [target] = &config.targets[..] else { panic!("one target") };
    assert_eq!(target.events_url, "http://127.0.0.1:8765");
    assert_eq!(target.api_url, target.events_url);
    assert_eq!(target.access_token.expose_secret(), DEFAULT_TOKEN);

    let services = services();
    let command = texts(&services["sandbox"]["command"]).join(" ");
    assert!(command.contains("--listen 0.0.0.0:8765"), "{command}");
    assert!(command.contains(&format!("--token {DEFAULT_TOKEN}")), "{command}");
    assert_eq!(services["ldsink"]["network_mode"], "service:sandbox");
}

/// The variables of the example, with this in the place of what its reader has to fill in.
pub(crate) fn filled_in_example(with: &str) -> Vec<(String, String)> {
    let example = text(EXAMPLE);
    let lines = example.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pairs = lines.map(|line| line.split_once('=').expect(line));
    pairs
        .map(|(name, value)| {
            (name.to_owned(), if value.is_empty() { with } else { value }.to_owned())
        })
        .collect()
}

#[test]
fn with_the_example_filled_in_it_is_launchdarkly() {
    let example = filled_in_example("api-filled-in");
    let filled: Vec<_> =
        example.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let config = configuration(&filled);
    let target = &config.targets[0];
    assert_eq!(target.events_url, Instance::Commercial.events_url());
    assert_eq!(target.api_url, Instance::Commercial.api_url());
    assert_eq!(target.access_token.expose_secret(), "api-filled-in");
    assert_eq!(target.project, "api-filled-in");
    assert_eq!(target.environment, "api-filled-in");
    // Nothing in the example is without effect.
    let compose = text("docker-compose.yml");
    for (name, _) in filled {
        assert!(compose.contains(&format!("${{{name}:-")), "{name} is not passed on");
    }
}

#[test]
fn the_example_knows_the_european_addresses() {
    let example = text(EXAMPLE);
    for url in [Instance::Eu.events_url(), Instance::Eu.api_url()] {
        assert!(example.contains(url), "{url}");
    }
}

#[test]
fn a_token_in_the_working_directory_is_not_committed() {
    assert!(text(".gitignore").lines().any(|line| line == "/.env"));
}

#[test]
fn the_admin_address_and_the_broker_are_where_the_others_expect_them() {
    let config = configuration(&[]);
    assert_eq!(config.admin.listen.to_string(), "0.0.0.0:9464");
    let services = services();
    let kafka = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].as_str().unwrap();
    assert_eq!(config.kafka.bootstrap_servers, "kafka:9092");
    assert!(kafka.contains("INTERNAL://kafka:9092"), "{kafka}");
    for name in ["topics", "orders"] {
        assert_eq!(services[name]["environment"]["BOOTSTRAP_SERVERS"], "kafka:9092", "{name}");
    }
    let (_, from_here) = kafka.split_once("HOST://").expect("a listener for this machine");
    let published = format!("{from_here}:{}", from_here.rsplit_once(':').unwrap().1);
    assert_eq!(texts(&services["kafka"]["ports"]), [published]);
}
