//! A request as a person may see it: everything that is sent, without the access token.
//!
//! Made of the very request that would go out, so that nothing shown can differ from what is sent.
//!
//! # Invariants
//! - X1: a header that is marked as sensitive is shown by its kind, never by its value.
//!
//! Not here: what is in a request (`events`, `rest`).

use reqwest::Request;
use reqwest::header::HeaderValue;

/// What stands for the access token.
const HIDDEN: &str = "[token]";

/// A request that can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestView {
    pub method: String,
    pub url: String,
    /// In the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// As it is before compression.
    pub body: Option<String>,
}

impl RequestView {
    pub(super) fn of(request: &Request) -> Self {
        let body = request.body().and_then(|body| body.as_bytes());
        let headers = request.headers().iter();
        Self {
            method: request.method().to_string(),
            url: request.url().to_string(),
            headers: headers.map(|(name, value)| (spelled(name.as_str()), shown(value))).collect(),
            body: body.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

fn shown(value: &HeaderValue) -> String {
    if value.is_sensitive() {
        return HIDDEN.to_owned();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// A header's name as documentation spells it; in a request its case means nothing.
fn spelled(name: &str) -> String {
    let word = |word: &str| match word {
        "launchdarkly" => "LaunchDarkly".to_owned(),
        "ld" | "api" | "id" => word.to_ascii_uppercase(),
        other => {
            let mut chars = other.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(chars).collect()
        }
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_documented() {
        for (name, expected) in [
            ("authorization", "Authorization"),
            ("x-launchdarkly-payload-id", "X-LaunchDarkly-Payload-ID"),
            ("ld-api-version", "LD-API-Version"),
            ("user-agent", "User-Agent"),
        ] {
            assert_eq!(spelled(name), expected);
        }
    }

    #[test]
    fn what_is_sensitive_is_hidden() {
        let mut token = HeaderValue::from_static("api-secret");
        token.set_sensitive(true);
        assert_eq!(shown(&token), "[token]");
    }
}
