//! The REST API: how a request is addressed, signed and answered.
//!
//! What a status means depends on the request (a 404 for a metric says that it has yet to be made,
//! a 404 for its creation that the project is unknown), so this file gives every refusal as an error
//! and the clients make outcomes of those they understand.
//!
//! Source: <https://launchdarkly.com/docs/api>.
//!
//! Not here: addresses and bodies (`metrics`, `segments`), pauses and repeats (`resilience`).

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::{Answered, ApiError, ErrorClass};
use super::endpoint::Server;
use super::hints::RateLimits;
use super::refusal::{self, Told};
use super::settings::{ClientError, TargetSettings};
use super::token::{LiveToken, Signature};
use super::view::RequestView;
use super::{hints, http};
use crate::model::trace::{TRACEPARENT, TraceParent};

/// The version of the API that these clients were written for. Without it, the version that was
/// current when the token was made would count.
const API_VERSION: &str = "20240415";
/// The largest answer that is read. A standard segment with its 15,000 targets is about a megabyte.
const ANSWER_BYTES: usize = 16 << 20;
/// Nothing we could send would pass an approval; a person must decide.
const APPROVAL_REMEDY: &str = "; allow `bypassRequiredSegmentApproval` for the token's role, or \
    lift the environment's required approvals for segments";

pub(super) const JSON: &str = "application/json";
/// With plain JSON the server would take the body for a JSON patch and refuse it.
pub(super) const SEMANTIC_PATCH: &str = "application/json; domain-model=launchdarkly.semanticpatch";

/// Sends requests of one target to the REST API. Clones share their connections.
#[derive(Debug, Clone)]
pub struct RestClient {
    http: reqwest::Client,
    base: Url,
    token: LiveToken,
    user_agent: HeaderValue,
    project: String,
    environment: String,
    now_ms: fn() -> i64,
    /// The trace that its requests belong to.
    trace: Option<TraceParent>,
}

/// A request that can be sent as often as needed.
#[derive(Debug, Clone)]
pub(super) struct Request {
    method: Method,
    /// Segments below `/api/v2`, as they are before escaping.
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<(&'static str, Bytes)>,
}

/// An accepted request's answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    body: Vec<u8>,
    limits: RateLimits,
    hint: Option<Duration>,
}

// === impl RestClient ===

impl RestClient {
    /// Makes a client. `now_ms` gives the Unix time in milliseconds, to understand resets.
    pub fn new(
        target: &TargetSettings,
        timeout: Duration,
        now_ms: fn() -> i64,
    ) -> Result<Self, ClientError> {
        let url = || ClientError::Url { target: target.name.clone(), field: "api_url" };
        let base = Url::parse(&target.api_url).map_err(|_no_url| url())?;
        // An environment that cannot be part of a path would fail every request instead.
        let example = ["api", "v2", "segments", &target.project, &target.environment];
        http::address(&base, example).ok_or_else(url)?;
        let agent = concat!("ldsink/", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            http: http::client(timeout)?,
            base,
            token: LiveToken::of(target)?,
            user_agent: HeaderValue::from_static(agent),
            project: target.project.clone(),
            environment: target.environment.clone(),
            now_ms,
            trace: None,
        })
    }

    /// The token that its requests are signed with.
    pub fn token(&self) -> LiveToken {
        self.token.clone()
    }

    /// The same, whose requests carry a trace on.
    pub(super) fn of_trace(&self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self.clone() }
    }

    pub(super) fn server(&self) -> Server {
        http::server(&self.base)
    }

    pub(super) fn project(&self) -> &str {
        &self.project
    }

    pub(super) fn environment(&self) -> &str {
        &self.environment
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// When the answer is not 2xx, or is no answer of an API. After [`ErrorClass::Network`] the
    /// request may have been carried out.
    pub(super) async fn send(&self, request: &Request) -> Result<Answer, ApiError> {
        let signature = self.token.current();
        let prepared = self.prepare(request, &signature)?;
        let mut answer = prepared.send().await.map_err(|e| http::network(&e))?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer, &signature).await);
        }
        let now_ms = (self.now_ms)();
        let (status, limits) =
            (answer.status().as_u16(), hints::rate_limits(answer.headers(), now_ms));
        let hint = hints::pause(answer.headers(), now_ms);
        let strange = |what: &str| ApiError {
            status: Some(status),
            limits: Box::new(limits),
            hint,
            ..ApiError::unanswered(ErrorClass::Misconfigured, what.to_owned())
        };
        // A proxy's or a web server's front page: taking it for success would lose the change.
        if is_web_page(answer.headers()) {
            return Err(strange("a web page answers where the API should be"));
        }
        let mut body = Vec::new();
        http::read(&mut answer, ANSWER_BYTES, &mut body).await.map_err(|e| http::network(&e))?;
        if body.len() > ANSWER_BYTES {
            return Err(strange("the answer is too large to be the API's"));
        }
        Ok(Answer { status, body, limits, hint })
    }

    /// Shows a request without sending it.
    ///
    /// # Errors
    /// When a key in it cannot be addressed.
    pub(super) fn describe(&self, request: &Request) -> Result<RequestView, ApiError> {
        let prepared = self.prepare(request, &self.token.current())?.build();
        prepared.map(|prepared| RequestView::of(&prepared)).map_err(|e| http::network(&e))
    }

    fn prepare(
        &self,
        request: &Request,
        signature: &Signature,
    ) -> Result<RequestBuilder, ApiError> {
        let prepared = self
            .http
            .request(request.method.clone(), self.address(request)?)
            .header(AUTHORIZATION, signature.authorization.clone())
            .header(USER_AGENT, self.user_agent.clone())
            .header("LD-API-Version", API_VERSION);
        let prepared = match self.trace {
            Some(trace) => prepared.header(TRACEPARENT, trace.to_string()),
            None => prepared,
        };
        Ok(match &request.body {
            None => prepared,
            Some((content_type, body)) => {
                prepared.header(CONTENT_TYPE, *content_type).body(body.clone())
            }
        })
    }

    fn address(&self, request: &Request) -> Result<Url, ApiError> {
        let path = ["api", "v2"].into_iter().chain(request.path.iter().map(String::as_str));
        let Some(mut url) = http::address(&self.base, path) else {
            // Base, project and environment were tried, so it is a key out of a record.
            let detail = "a key that is empty, `.` or `..` cannot be addressed".to_owned();
            return Err(ApiError::unanswered(ErrorClass::Refused, detail));
        };
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    async fn refusal(&self, mut answer: Response, signature: &Signature) -> ApiError {
        let status = answer.status().as_u16();
        let now_ms = (self.now_ms)();
        let hint = hints::pause(answer.headers(), now_ms);
        let limits = Box::new(hints::rate_limits(answer.headers(), now_ms));
        let Told { code, mut detail } = refusal::told(&mut answer, &signature.token).await;
        if status == 403 && detail.to_ascii_lowercase().contains("approval is required") {
            detail.push_str(APPROVAL_REMEDY);
        }
        ApiError {
            class: ErrorClass::of_status(status),
            status: Some(status),
            code,
            detail,
            hint,
            limits,
        }
    }
}

fn is_web_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

// === impl Request ===

impl Request {
    pub(super) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path, None)
    }

    pub(super) fn post(path: &[&str], json: &Value) -> Self {
        Self::new(Method::POST, path, Some((JSON, json.to_string().into())))
    }

    pub(super) fn patch(path: &[&str], content_type: &'static str, json: &Value) -> Self {
        Self::new(Method::PATCH, path, Some((content_type, json.to_string().into())))
    }

    fn new(method: Method, path: &[&str], body: Option<(&'static str, Bytes)>) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Self { method, path, query: Vec::new(), body }
    }

    pub(super) fn with_query(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }
}

// === impl Answer ===

impl Answer {
    /// Reads the body.
    ///
    /// # Errors
    /// [`ErrorClass::Misconfigured`] when it is not what the API gives: something else answers
    /// at the configured address.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<Answered<T>, ApiError> {
        let Self { status, body, limits, hint } = self;
        match serde_json::from_slice(&body) {
            Ok(value) => Ok(Answered { value, status, limits, hint }),
            Err(error) => Err(ApiError {
                status: Some(status),
                limits: Box::new(limits),
                hint,
                // The place only: the error's own text may repeat what it met there.
                ..ApiError::unanswered(
                    ErrorClass::Misconfigured,
                    format!(
                        "the answer is not what the API gives, at line {} column {}",
                        error.line(),
                        error.column()
                    ),
                )
            }),
        }
    }

    /// Leaves the body unread, where the status says everything.
    pub(super) fn with<T>(self, value: T) -> Answered<T> {
        let Self { status, limits, hint, .. } = self;
        Answered { value, status, limits, hint }
    }
}

/// Makes an outcome of a status that the request gives a meaning of its own.
pub(super) fn unless<T>(
    answer: Result<Answered<T>, ApiError>,
    status: u16,
    outcome: T,
) -> Result<Answered<T>, ApiError> {
    match answer {
        Err(error) if error.status == Some(status) => {
            Ok(Answered { value: outcome, status, limits: *error.limits, hint: error.hint })
        }
        answer => answer,
    }
}
