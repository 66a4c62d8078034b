//! `targets`: the projects and environments to write to, where they are, and their tokens.
//!
//! # Invariants
//! - C3: a token leaves the host encrypted only: plain `http` is for this host alone.
//!
//! Not here: whether a token is accepted (LaunchDarkly says so).

use secrecy::SecretString;
use url::{Host, Url};

use super::keys;
use super::mistakes::{At, Review};
use super::raw::{Entry, Scalar};
use super::secret;
use super::section::{Section, check_name, entries, is_key_character};
use crate::launchdarkly::settings::{Instance, TargetSettings};

const COMPANY: &str = "ldsink";

/// The targets with those whose description has mistakes, so that a route that names one of these
/// is not blamed for it.
pub(super) struct Targets {
    pub(super) names: Vec<String>,
    pub(super) settings: Vec<TargetSettings>,
}

/// Base addresses of the events host and of the REST API.
struct Hosts {
    events_url: String,
    api_url: String,
}

pub(super) fn read(root: &Section<'_>) -> Targets {
    let Some(value) = root.get("targets") else {
        root.missing("targets", "name at least one LaunchDarkly environment");
        return Targets { names: Vec::new(), settings: Vec::new() };
    };
    let entries = entries(root.review, value);
    if entries.is_empty() && root.review.is_sound("targets") {
        root.review.mistake(
            value.at(),
            "names no target",
            "name at least one LaunchDarkly environment",
        );
    }
    Targets {
        names: entries.iter().map(|entry| entry.name.clone()).collect(),
        settings: entries.iter().filter_map(|entry| target(root.review, entry)).collect(),
    }
}

fn target(review: &Review<'_>, entry: &Entry) -> Option<TargetSettings> {
    if entry.name.is_empty() || !entry.name.chars().all(is_key_character) {
        let remedy = "it labels metrics: use letters, digits, `.`, `_`, `-`";
        review.mistake(&entry.at, "has characters that are not allowed in a name", remedy);
    }
    let section = Section::open(review, Some(&entry.value), entry.at.clone(), keys::TARGET);
    let project = place_key(&section, "project");
    let environment = place_key(&section, "environment");
    let hosts = hosts(&section);
    let company = company(&section);
    let access_token = access_token(&section);
    Some(TargetSettings {
        name: entry.name.clone(),
        project: project?,
        environment: environment?,
        access_token: access_token?,
        events_url: hosts.events_url,
        api_url: hosts.api_url,
        company,
    })
}

/// The key of a project or an environment; it becomes part of URLs.
fn place_key(section: &Section<'_>, name: &str) -> Option<String> {
    let key = section.required(name, &format!("give the {name}'s key"))?;
    let remedy = format!("give the {name}'s key, not its title");
    check_name(section.review, key, is_key_character, &remedy);
    Some(key.text.clone())
}

fn company(section: &Section<'_>) -> String {
    let Some(company) = section.text("company") else { return COMPANY.to_owned() };
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    check_name(section.review, company, is_allowed, "use ASCII letters, digits and `_`");
    company.text.clone()
}

// --- hosts ---

fn hosts(section: &Section<'_>) -> Hosts {
    let options = Instance::ALL.map(|instance| (instance.as_str(), instance));
    let instance = section.choice("instance", &options).unwrap_or(Instance::Commercial);
    let known =
        Hosts { events_url: instance.events_url().into(), api_url: instance.api_url().into() };
    let url = |name: &str| base_url(section.review, section.text(name)?, Some("the token"));
    match (section.get("events_url"), section.get("api_url")) {
        (None, None) => known,
        (Some(_), Some(_)) => {
            if section.get("instance").is_some() {
                let problem = "stands beside events_url and api_url";
                section.review.mistake(&section.at("instance"), problem, "keep one of the two");
            }
            Hosts {
                events_url: url("events_url").unwrap_or(known.events_url),
                api_url: url("api_url").unwrap_or(known.api_url),
            }
        }
        (events, _) => {
            let (given, other) = if events.is_some() {
                ("events_url", "api_url")
            } else {
                ("api_url", "events_url")
            };
            let remedy = format!("give {other} too, or choose an instance");
            section.review.mistake(&section.at(given), "is only half of the address", remedy);
            // Checked all the same: its own mistakes are to be seen now.
            let checked = url(given);
            Hosts { events_url: checked.unwrap_or(known.events_url), ..known }
        }
    }
}

/// Checks a base address and gives it without a trailing slash. `carries` is what is secret of what is
/// sent there.
pub(super) fn base_url(
    review: &Review<'_>,
    written: &Scalar,
    carries: Option<&str>,
) -> Option<String> {
    let refuse = |problem: &str, remedy: &str| {
        review.mistake(&written.at, format!("{} {problem}", written.shown()), remedy);
    };
    let Ok(url) = Url::parse(&written.text) else {
        refuse("is not a URL", "write it like https://events.launchdarkly.com");
        return None;
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        refuse("is no web address", "start it with https://");
    } else if !url.username().is_empty() || url.password().is_some() {
        refuse("holds a user or a password", "remove what stands before the `@`");
    } else if url.query().is_some() || url.fragment().is_some() {
        refuse("is more than a base address", "remove what follows the path");
    } else if let Some(secret) = carries.filter(|_| url.scheme() == "http" && !is_loopback(&url)) {
        refuse(&format!("would carry {secret} in clear over the network"), "use https://");
    }
    // As the parser understood it, so that what was checked is what is used.
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

// --- tokens ---

fn access_token(section: &Section<'_>) -> Option<SecretString> {
    match (section.get("access_token"), section.get("access_token_file")) {
        (Some(_), Some(_)) => {
            section.review.mistake(
                &section.at("access_token_file"),
                "stands beside access_token",
                "keep one of the two",
            );
            None
        }
        (None, None) => {
            let remedy = "give it, best as ${LD_ACCESS_TOKEN}, or give access_token_file";
            section.missing("access_token", remedy);
            None
        }
        (Some(_), None) => {
            let token = section.text("access_token")?;
            checked_token(section.review, &token.at, &token.text)
        }
        (None, Some(_)) => {
            let file = section.text("access_token_file")?;
            let token = secret::of_file(section.review, file)?;
            checked_token(section.review, &file.at, &token)
        }
    }
}

/// Catches what can never be an access token; its form is LaunchDarkly's own affair.
fn checked_token(review: &Review<'_>, at: &At, token: &str) -> Option<SecretString> {
    let refuse = |problem: &str, remedy: &str| {
        review.mistake(at, problem, remedy);
        None
    };
    if token.is_empty() {
        refuse("holds no token", "give the access token")
    } else if token.starts_with("Bearer") {
        refuse("begins with `Bearer`", "give the raw token alone")
    } else if token.starts_with("sdk-") || token.starts_with("mob-") {
        let remedy = "these APIs take access tokens only: create one in the account's settings";
        refuse("is an SDK or mobile key", remedy)
    } else if !token.chars().all(|c| c.is_ascii_graphic()) {
        refuse("has blanks or unprintable characters", "give the raw token on one line")
    } else {
        Some(SecretString::from(token.to_owned()))
    }
}
