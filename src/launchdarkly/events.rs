//! The metric import API: `POST {events_url}/v2/event-data-import/{project}/{environment}`.
//!
//! The request is the same bytes under the same payload ID however often it is sent: LaunchDarkly
//! drops a repeat only when both are the same (P3). 202 means taken for import and nothing more.
//!
//! Source: <https://launchdarkly.com/docs/home/metrics/import-events>.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{RequestBuilder, Url};
use uuid::Uuid;

use super::answer::{Answered, ApiError, ErrorClass};
use super::endpoint::Server;
use super::refusal::{self, Told};
use super::settings::{ClientError, TargetSettings};
use super::token::{LiveToken, Signature};
use super::view::RequestView;
use super::{hints, http};
use crate::model::trace::{TRACEPARENT, TraceParent};

/// The version of the event format we write.
const EVENT_SCHEMA: &str = "4";

/// Sends metric events to one target.
#[derive(Debug, Clone)]
pub struct EventsClient {
    http: reqwest::Client,
    url: Url,
    token: LiveToken,
    user_agent: HeaderValue,
    compression: BodyCompression,
}

/// Whether bodies are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyCompression {
    None,
    /// Level 1: event batches shrink to about a fifteenth already, higher levels cost several
    /// times as much for little.
    Gzip,
}

/// A request body, ready to be sent as often as needed.
#[derive(Debug, Clone)]
pub struct EventsBody {
    bytes: Bytes,
    compression: BodyCompression,
    /// The trace that the request belongs to.
    trace: Option<TraceParent>,
}

// === impl EventsClient ===

impl EventsClient {
    pub fn new(
        target: &TargetSettings,
        compression: BodyCompression,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let version = env!("CARGO_PKG_VERSION");
        let agent = format!("MetricImport-{}-int/{version}", target.company);
        Ok(Self {
            http: http::client(timeout)?,
            url: import_url(target).ok_or_else(|| ClientError::Url {
                target: target.name.clone(),
                field: "events_url",
            })?,
            token: LiveToken::of(target)?,
            user_agent: http::header(target, "company", &agent)?,
            compression,
        })
    }

    /// The token that its requests are signed with.
    pub fn token(&self) -> LiveToken {
        self.token.clone()
    }

    /// Where its requests go.
    pub fn server(&self) -> Server {
        http::server(&self.url)
    }

    /// Makes a JSON array of events into a body. Compressing takes about a millisecond per
    /// megabyte, short enough for a runtime thread.
    pub fn body(&self, json: Bytes) -> EventsBody {
        let bytes = match self.compression {
            BodyCompression::None => json,
            BodyCompression::Gzip => gzip(&json),
        };
        EventsBody { bytes, compression: self.compression, trace: None }
    }

    /// Sends a batch once. `now_ms` gives the Unix time in milliseconds when the answer is there.
    ///
    /// # Errors
    /// When the answer was not 202. After [`ErrorClass::Network`] the batch may have been
    /// accepted, so it must be repeated unchanged or not at all.
    pub async fn import(
        &self,
        body: &EventsBody,
        payload_id: Uuid,
        now_ms: impl Fn() -> i64,
    ) -> Result<Answered<()>, ApiError> {
        let signature = self.token.current();
        let request = self.request(body.bytes.clone(), body.compression, payload_id, &signature);
        let request = match body.trace {
            Some(trace) => request.header(TRACEPARENT, trace.to_string()),
            None => request,
        };
        let mut answer = request.send().await.map_err(|e| http::network(&e))?;
        let status = answer.status();
        let now_ms = now_ms();
        let limits = hints::rate_limits(answer.headers(), now_ms);
        let hint = hints::pause(answer.headers(), now_ms);
        // Nothing but 202 is this API's acceptance; a proxy's or a portal's 200 must not consume
        // records.
        if status == reqwest::StatusCode::ACCEPTED {
            return Ok(Answered { value: (), status: status.as_u16(), limits, hint });
        }
        let Told { code, detail } = refusal::told(&mut answer, &signature.token).await;
        Err(ApiError {
            class: ErrorClass::of_status(status.as_u16()),
            status: Some(status.as_u16()),
            code,
            hint,
            limits: Box::new(limits),
            detail,
        })
    }

    /// Shows the request for a JSON array of events, its body as it is before compression.
    pub fn describe(&self, json: Bytes, payload_id: Uuid) -> Result<RequestView, ApiError> {
        let signature = self.token.current();
        let request = self.request(json, self.compression, payload_id, &signature).build();
        request.map(|request| RequestView::of(&request)).map_err(|e| http::network(&e))
    }

    fn request(
        &self,
        bytes: Bytes,
        compression: BodyCompression,
        payload_id: Uuid,
        signature: &Signature,
    ) -> RequestBuilder {
        let request = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, signature.authorization.clone())
            .header(USER_AGENT, self.user_agent.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("X-LaunchDarkly-Event-Schema", EVENT_SCHEMA)
            .header("X-LaunchDarkly-Payload-ID", payload_id.to_string());
        let request = match compression {
            BodyCompression::None => request,
            BodyCompression::Gzip => request.header(CONTENT_ENCODING, "gzip"),
        };
        request.body(bytes)
    }
}

// === impl EventsBody ===

impl EventsBody {
    /// The same, carrying a trace on.
    #[must_use]
    pub fn of_trace(&self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self.clone() }
    }
}

fn import_url(target: &TargetSettings) -> Option<Url> {
    let base = Url::parse(&target.events_url).ok()?;
    http::address(&base, ["v2", "event-data-import", &target.project, &target.environment])
}

fn gzip(json: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 8), Compression::fast());
    // Writing to a vector cannot fail.
    let written = encoder.write_all(json).and_then(|()| encoder.finish());
    debug_assert!(written.is_ok());
    Bytes::from(written.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use secrecy::SecretString;

    use super::*;

    fn target() -> TargetSettings {
        TargetSettings {
            name: "production".to_owned(),
            project: "store front".to_owned(),
            environment: "production".to_owned(),
            access_token: SecretString::from("api-secret"),
            events_url: "https://events.example/base".to_owned(),
            api_url: "https://app.example".to_owned(),
            company: "Acme".to_owned(),
        }
    }

    #[test]
    fn the_address_is_escaped_and_the_token_never_printed() {
        let client =
            EventsClient::new(&target(), BodyCompression::None, Duration::from_secs(1)).unwrap();
        assert_eq!(
            client.url.as_str(),
            "https://events.example/base/v2/event-data-import/store%20front/production"
        );
        assert!(!format!("{client:?} {:?}", target()).contains("api-secret"));
    }

    #[test]
    fn a_token_that_is_no_header_is_told_without_showing_it() {
        let mut target = target();
        target.access_token = SecretString::from("api\nsecret");
        let error = EventsClient::new(&target, BodyCompression::None, Duration::from_secs(1))
            .unwrap_err()
            .to_string();
        assert!(error.contains("access_token") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn gzip_is_reversible_and_reproducible() {
        let json = b"[{\"kind\":\"custom\"}]".repeat(50);
        let packed = gzip(&json);
        assert_eq!(packed, gzip(&json), "the same batch is the same request");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, json);
    }
}
