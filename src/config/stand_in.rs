//! What stands for an environment variable where a configuration is only looked at: a preview needs
//! no token.
//!
//! A stand-in must pass the same checks as what it stands for, so its form depends on the key. Where
//! a number or a duration is wanted nothing can be made up, and the variable has to be set.

/// Values of these keys may be any name.
const NAMES: &[&str] = &[
    "access_token",
    "token",
    "project",
    "environment",
    "company",
    "group_id",
    "topic",
    "topics",
    "key",
    "segment",
    "client_side_id",
    "cohort_id",
    "service_name",
];

/// Gives a value for the variable `name` at `key`, or `None` when it must be set.
pub(super) fn stand_in(key: &str, name: &str) -> Option<String> {
    let last = key.rsplit('.').next().unwrap_or(key);
    let last = last.split('[').next().unwrap_or(last);
    let host = || name.to_ascii_lowercase().replace('_', "-");
    match last {
        "bootstrap_servers" => Some(format!("{}.invalid:9092", host())),
        "events_url" | "api_url" | "endpoint" => Some(format!("https://{}.invalid", host())),
        _ if NAMES.contains(&last)
            || key.starts_with("kafka.properties.")
            || key.starts_with("traces.headers.") =>
        {
            Some(name.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_has_the_form_of_its_key() {
        for (key, expected) in [
            ("targets.production.access_token", Some("LD_X")),
            ("targets.production.events_url", Some("https://ld-x.invalid")),
            ("kafka.bootstrap_servers", Some("ld-x.invalid:9092")),
            ("kafka.properties.sasl.password", Some("LD_X")),
            ("traces.endpoint", Some("https://ld-x.invalid")),
            ("traces.headers.api-key", Some("LD_X")),
            ("routes[0].topics[1]", Some("LD_X")),
            ("routes[0].metric_event.key", Some("LD_X")),
            ("batch.linger", None),
            ("routes[0].when", None),
        ] {
            assert_eq!(stand_in(key, "LD_X").as_deref(), expected, "{key}");
        }
    }
}
