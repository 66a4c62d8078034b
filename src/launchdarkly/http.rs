//! What every request to LaunchDarkly has in common: the HTTP client, addresses, and words for what
//! went wrong.
//!
//! # Invariants
//! - W1: no detail holds the access token, whatever a server echoes.
//! - W2: an address names exactly the segments it was made of: nothing in them is a separator, and
//!   what a URL cannot hold is refused instead of dropped.
//!
//! Not here: which address, which headers, what an answer means (`events`, `rest`, `answer`).

use std::fmt::Write;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Response, Url};
use secrecy::{ExposeSecret, SecretString};

use super::answer::{ApiError, ErrorClass};
use super::endpoint::Server;
use super::settings::{ClientError, TargetSettings};

/// How much of an answer is shown: enough for LaunchDarkly's message, too little to fill a log.
const DETAIL_CHARS: usize = 512;
/// Names and addresses of LaunchDarkly are resolved and reached well within this.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes the client. `timeout` bounds a request with its answer.
pub(super) fn client(timeout: Duration) -> Result<Client, ClientError> {
    let client = Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout.min(CONNECT))
        // The APIs do not redirect; following one could carry the token elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    Ok(client)
}

/// The raw token, without `Bearer`.
pub(super) fn authorization(target: &TargetSettings) -> Result<HeaderValue, ClientError> {
    let mut value = header(target, "access_token", target.access_token.expose_secret())?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn header(
    target: &TargetSettings,
    field: &'static str,
    text: &str,
) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(text).map_err(|source| ClientError::Header {
        target: target.name.clone(),
        field,
        source,
    })
}

/// Where requests below a base address go. None of a web address's parts is missing.
pub(super) fn server(base: &Url) -> Server {
    let port = base.port_or_known_default().unwrap_or_default();
    Server { host: base.host_str().unwrap_or_default().to_owned(), port }
}

/// Puts path segments below a base address. `None` when the base is no web address or a segment
/// cannot be part of a path (W2).
pub(super) fn address<'a>(base: &Url, path: impl IntoIterator<Item = &'a str>) -> Option<Url> {
    if base.cannot_be_a_base() {
        return None;
    }
    let mut whole = base.path().trim_end_matches('/').to_owned();
    for segment in path {
        whole.push('/');
        escape(segment, &mut whole)?;
    }
    let mut url = base.clone();
    url.set_path(&whole);
    Some(url)
}

/// Escapes all but the unreserved characters. URL libraries drop tabs and line breaks, and resolve
/// `.` and `..` even when these are escaped, so two keys could become one address.
fn escape(segment: &str, into: &mut String) -> Option<()> {
    if matches!(segment, "" | "." | "..") {
        return None;
    }
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            write!(into, "%{byte:02X}").ok()?;
        }
    }
    Some(())
}

/// Reads an answer's body until it ends or `limit` is passed, by a chunk at most.
pub(super) async fn read(
    answer: &mut Response,
    limit: usize,
    into: &mut Vec<u8>,
) -> reqwest::Result<()> {
    while into.len() <= limit {
        match answer.chunk().await? {
            Some(chunk) => into.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(())
}

/// A server's text on one line, without the token, shortened.
pub(super) fn shown(text: &str, token: &SecretString) -> String {
    let token = token.expose_secret();
    let text = if token.is_empty() { text.to_owned() } else { text.replace(token, "[token]") };
    let text: String =
        text.chars().take(DETAIL_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().is_empty() { "the answer has no body".to_owned() } else { text }
}

/// A request without an answer, or with half of one.
pub(super) fn network(error: &reqwest::Error) -> ApiError {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    // The innermost cause says most: "connection refused", "certificate has expired".
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ApiError::unanswered(ErrorClass::Network, format!("{what}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(segments: &[&str]) -> Option<String> {
        let base = Url::parse("https://app.example/base/").unwrap();
        address(&base, segments.iter().copied()).map(String::from)
    }

    #[test]
    fn a_segment_stays_one_segment() {
        for (segment, escaped) in [
            ("plain-Key_1.x~", "plain-Key_1.x~"),
            ("a/b\\c", "a%2Fb%5Cc"),
            ("50%?#", "50%25%3F%23"),
            ("two words\t\n", "two%20words%09%0A"),
            ("ключ", "%D0%BA%D0%BB%D1%8E%D1%87"),
            ("..a", "..a"),
            ("%2e%2e", "%252e%252e"),
        ] {
            let expected = format!("https://app.example/base/v2/{escaped}/end");
            assert_eq!(of(&["v2", segment, "end"]), Some(expected));
        }
    }

    #[test]
    fn what_no_path_can_hold_is_refused() {
        for segment in ["", ".", ".."] {
            assert_eq!(of(&["v2", segment]), None, "{segment:?}");
        }
    }

    #[test]
    fn the_token_is_removed_before_the_text_is_cut() {
        let token = SecretString::from("api-secret");
        let text = format!("{}api-secret\nrest", "x".repeat(DETAIL_CHARS - 4));
        let shown = shown(&text, &token);
        assert!(!shown.contains("api") && shown.chars().count() == DETAIL_CHARS, "{shown}");
    }

    #[test]
    fn an_empty_token_and_an_empty_text_do_no_harm() {
        let none = SecretString::from("");
        assert_eq!(shown("a b", &none), "a b");
        assert_eq!(shown(" \n", &none), "the answer has no body");
    }
}
