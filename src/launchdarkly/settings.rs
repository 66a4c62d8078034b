//! A target: a LaunchDarkly project and environment, and the credentials for them.

use secrecy::{ExposeSecret, SecretString};

/// Where and as whom to write.
#[derive(Debug, Clone)]
pub struct TargetSettings {
    /// The name it has in the configuration; a label of metrics and part of payload IDs.
    pub name: String,
    pub project: String,
    pub environment: String,
    /// Sent as it is in `Authorization`, without `Bearer`.
    pub access_token: SecretString,
    /// Base of the events host, without a trailing slash, e.g. `https://events.launchdarkly.com`.
    pub events_url: String,
    /// Base of the REST API, without a trailing slash, e.g. `https://app.launchdarkly.com`.
    pub api_url: String,
    /// The company name in `User-Agent: MetricImport-{company}-int/{version}`, which the import
    /// API asks for. ASCII letters, digits and `_`.
    pub company: String,
}

impl TargetSettings {
    /// Whether LaunchDarkly counts requests for both as those of one token.
    pub fn has_token_of(&self, other: &Self) -> bool {
        self.access_token.expose_secret() == other.access_token.expose_secret()
    }
}

/// Why no client can be made of a target.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("target `{target}`: `{field}`, with the project and the environment, is no address")]
    Url { target: String, field: &'static str },
    #[error("target `{target}`: `{field}` holds characters that no HTTP header may hold")]
    Header { target: String, field: &'static str, source: reqwest::header::InvalidHeaderValue },
    #[error("the HTTP client cannot be set up")]
    Http(#[from] reqwest::Error),
}

/// LaunchDarkly's instances and their hosts.
///
/// Sources: <https://launchdarkly.com/docs/home/infrastructure/eu>,
/// <https://launchdarkly.com/docs/home/infrastructure/federal>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    Commercial,
    Eu,
    Federal,
}

impl Instance {
    pub const ALL: [Self; 3] = [Self::Commercial, Self::Eu, Self::Federal];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commercial => "commercial",
            Self::Eu => "eu",
            Self::Federal => "federal",
        }
    }

    pub fn events_url(self) -> &'static str {
        match self {
            Self::Commercial => "https://events.launchdarkly.com",
            Self::Eu => "https://events.eu.launchdarkly.com",
            Self::Federal => "https://events.launchdarkly.us",
        }
    }

    pub fn api_url(self) -> &'static str {
        match self {
            Self::Commercial => "https://app.launchdarkly.com",
            Self::Eu => "https://app.eu.launchdarkly.com",
            Self::Federal => "https://app.launchdarkly.us",
        }
    }
}

/// By target: the first one with the same project.
pub fn projects(targets: &[TargetSettings]) -> Vec<usize> {
    let same = |one: &TargetSettings, other: &TargetSettings| {
        one.project == other.project && one.api_url == other.api_url
    };
    let first = |target| targets.iter().position(|other| same(target, other)).unwrap_or_default();
    targets.iter().map(first).collect()
}
