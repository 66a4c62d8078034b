//! The collector: where spans go, and what its answers mean.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Response, StatusCode};
use secrecy::ExposeSecret;
use uuid::Builder;

use super::span::attribute;
use crate::telemetry::settings::TraceSettings;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const AGENT: &str = concat!("ldsink/", env!("CARGO_PKG_VERSION"));
const PROTOBUF: &str = "application/x-protobuf";
/// Below the base address, as OTLP says.
const PATH: &str = "/v1/traces";
/// The longest answer that is read; it tells a number and perhaps a sentence.
const ANSWER_BYTES: usize = 64 << 10;

/// Takes spans.
#[derive(Debug)]
pub(super) struct Collector {
    http: Client,
    url: String,
    headers: HeaderMap,
    resource: Resource,
}

/// Why spans cannot be exported as the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("`traces.headers.{name}` cannot be sent as a header")]
    Header { name: String },
    #[error("the HTTP client for the collector cannot be set up")]
    Http(#[from] reqwest::Error),
}

/// Why the collector did not take a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// Whether it may take the same later.
    pub(super) is_passing: bool,
    /// How long it asked us to wait.
    pub(super) hint: Duration,
}

impl Collector {
    pub(super) fn new(settings: &TraceSettings) -> Result<Self, CollectorError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in &settings.headers {
            // The library's error would show what is not to be shown.
            let error = || CollectorError::Header { name: name.clone() };
            let mut secret =
                HeaderValue::from_str(value.expose_secret()).map_err(|_secret| error())?;
            secret.set_sensitive(true);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_name| error())?;
            headers.insert(name, secret);
        }
        let http = Client::builder()
            .timeout(settings.timeout)
            // Following a redirect could carry the headers elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = format!("{}{PATH}", settings.endpoint);
        Ok(Self { http, url, headers, resource: resource(settings) })
    }

    /// The request for a batch, which can be sent as often as needed.
    pub(super) fn body(&self, spans: Vec<Span>) -> Bytes {
        let scope = InstrumentationScope {
            name: "ldsink".to_owned(),
            version: VERSION.to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
        let of_us = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest { resource_spans: vec![of_us] }.encode_to_vec().into()
    }

    /// Sends a batch once. Gives how many of its spans the collector rejects.
    pub(super) async fn export(&self, body: &Bytes) -> Result<u64, Failure> {
        let request = self.http.post(&self.url).headers(self.headers.clone()).body(body.clone());
        let answer = request.send().await.map_err(|error| unanswered(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Failure {
                reason: format!("the collector answers {}", status.as_u16()),
                is_passing: is_passing(status),
                hint: hint(answer.headers()).unwrap_or_default(),
            });
        }
        // It has taken them, whatever becomes of the rest of its answer.
        let told = read(answer).await;
        let told = ExportTraceServiceResponse::decode(told.as_slice()).unwrap_or_default();
        let rejected = told.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

fn resource(settings: &TraceSettings) -> Resource {
    let made_up = || Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let instance = settings.instance.clone().unwrap_or_else(made_up);
    let attributes = [
        ("service.name", settings.service_name.as_str()),
        ("service.version", VERSION),
        ("service.instance.id", instance.as_str()),
    ];
    let text = |(name, value): (&str, &str)| attribute(name, Value::StringValue(value.to_owned()));
    Resource { attributes: attributes.map(text).into(), ..Resource::default() }
}

/// The statuses after which OTLP wants the same request again.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn hint(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn unanswered(error: &reqwest::Error) -> Failure {
    let what = if error.is_timeout() {
        "the collector does not answer in time"
    } else if error.is_connect() {
        "the collector cannot be reached"
    } else {
        "the connection to the collector broke"
    };
    Failure { reason: what.to_owned(), is_passing: true, hint: Duration::ZERO }
}

async fn read(mut answer: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES {
            return Vec::new();
        }
    }
    body
}
