//! What LaunchDarkly says when it refuses: a code and a message in JSON, or anything else when a proxy
//! speaks for it.

use reqwest::Response;
use secrecy::SecretString;
use serde::Deserialize;

use super::http;

/// The most of it that is read.
const BYTES: usize = 64 << 10;
/// LaunchDarkly's codes are short words; anything longer is none.
const CODE_BYTES: usize = 64;

/// A refusal that can be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) code: Option<String>,
    /// `code: message`, or the beginning of the body where it is something else.
    pub(super) detail: String,
}

/// Its body. There is an `id` too, for LaunchDarkly's support, which we do not keep.
#[derive(Deserialize)]
struct Body {
    code: Option<String>,
    message: Option<String>,
}

/// Reads a refusal, and leaves the token out of it.
pub(super) async fn told(answer: &mut Response, token: &SecretString) -> Told {
    let mut body = Vec::new();
    if http::read(answer, BYTES, &mut body).await.is_err() && body.is_empty() {
        return Told { code: None, detail: "the answer broke off".to_owned() };
    }
    let Told { code, detail } = of(&body);
    Told { code, detail: http::shown(&detail, token) }
}

fn of(body: &[u8]) -> Told {
    let whole = || String::from_utf8_lossy(body).into_owned();
    let Ok(Body { code, message }) = serde_json::from_slice(body) else {
        return Told { code: None, detail: whole() };
    };
    let code = code.filter(|code| !code.is_empty() && code.len() <= CODE_BYTES);
    let detail = match (&code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.clone(),
        (None, Some(message)) => message,
        (None, None) => whole(),
    };
    Told { code, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_its_code_and_its_message_or_what_it_is() {
        for (body, code, detail) in [
            (
                r#"{"code":"not_found","message":"Unknown key","id":"7"}"#,
                Some("not_found"),
                "not_found: Unknown key",
            ),
            (r#"{"code":"not_found"}"#, Some("not_found"), "not_found"),
            (r#"{"code":"","message":"Unknown key"}"#, None, "Unknown key"),
            (r#"{"error":"x"}"#, None, r#"{"error":"x"}"#),
            ("<html>", None, "<html>"),
            ("[]", None, "[]"),
        ] {
            let expected = Told { code: code.map(str::to_owned), detail: detail.to_owned() };
            assert_eq!(of(body.as_bytes()), expected, "{body}");
        }
    }
}
