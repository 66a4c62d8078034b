//! Metric definitions: `/api/v2/metrics/{project}`.
//!
//! There is no upsert: whoever keeps a definition up to date reads it, creates it when it is not
//! there, and patches what differs ([`super::definition`]). Metrics belong to a project, so all
//! environments of it share them.
//!
//! Source: <https://launchdarkly.com/docs/api/metrics>.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{Answered, ApiError, Creation, Written};
use super::definition::{self, PatchOp};
use super::endpoint::Server;
use super::rest::{JSON, Request, RestClient, unless};
use super::view::RequestView;
use crate::model::trace::TraceParent;

/// The most that LaunchDarkly lists at once.
pub const PAGE_SIZE: u64 = 50;

/// Reads and writes one project's metric definitions.
#[derive(Debug, Clone)]
pub struct MetricsClient {
    rest: RestClient,
}

/// A part of a project's metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPage {
    pub items: Vec<Map<String, Value>>,
    /// The offset of the next page; `None` on the last one.
    pub next: Option<u64>,
}

#[derive(Deserialize)]
struct Listing {
    items: Vec<Map<String, Value>>,
    #[serde(rename = "totalCount")]
    total: Option<u64>,
}

impl MetricsClient {
    pub fn new(rest: RestClient) -> Self {
        Self { rest }
    }

    /// Where its requests go.
    pub fn server(&self) -> Server {
        self.rest.server()
    }

    /// The same, whose requests carry a trace on.
    #[must_use]
    pub fn of_trace(&self, trace: Option<TraceParent>) -> Self {
        Self { rest: self.rest.of_trace(trace) }
    }

    /// Reads a definition. `None` also when the project is unknown; a creation tells.
    pub async fn get(&self, key: &str) -> Result<Answered<Option<Map<String, Value>>>, ApiError> {
        let answer = self.rest.send(&self.reading(key)).await;
        unless(answer.and_then(|answer| Ok(answer.json()?.map(Some))), 404, None)
    }

    /// Reads nothing of the project but that it is there.
    ///
    /// # Errors
    /// [`ErrorClass::Misconfigured`](super::answer::ErrorClass::Misconfigured) when it is unknown.
    pub async fn find_project(&self) -> Result<Answered<()>, ApiError> {
        let request = Request::get(&["metrics", self.rest.project()]).with_query("limit", &1);
        self.rest.send(&request).await.map(|answer| answer.with(()))
    }

    /// Creates a metric from what [`definition::validate`] accepts, without the fields that only a
    /// patch may carry, and gives what LaunchDarkly made of it.
    pub async fn create(
        &self,
        desired: &Map<String, Value>,
    ) -> Result<Answered<Creation<Map<String, Value>>>, ApiError> {
        let answer = self.rest.send(&self.creation(desired)).await;
        let created = answer.and_then(|answer| Ok(answer.json()?.map(Creation::Created)));
        unless(created, 409, Creation::AlreadyThere)
    }

    /// Changes a definition; all operations or none. The body is a bare list: this API takes no
    /// comment.
    ///
    /// # Errors
    /// [`ErrorClass::Conflict`](super::answer::ErrorClass::Conflict) when somebody else changed the
    /// metric meanwhile: read it again and compare anew.
    pub async fn patch(&self, key: &str, patch: &[PatchOp]) -> Result<Answered<Written>, ApiError> {
        let answer = self.rest.send(&self.amendment(key, patch)).await;
        unless(answer.map(|answer| answer.with(Written::Done)), 404, Written::Absent)
    }

    /// Shows the request of [`Self::get`].
    pub fn describe_get(&self, key: &str) -> Result<RequestView, ApiError> {
        self.rest.describe(&self.reading(key))
    }

    /// Shows the request of [`Self::create`].
    pub fn describe_create(&self, desired: &Map<String, Value>) -> Result<RequestView, ApiError> {
        self.rest.describe(&self.creation(desired))
    }

    /// Shows the request of [`Self::patch`].
    pub fn describe_patch(&self, key: &str, patch: &[PatchOp]) -> Result<RequestView, ApiError> {
        self.rest.describe(&self.amendment(key, patch))
    }

    fn reading(&self, key: &str) -> Request {
        Request::get(&["metrics", self.rest.project(), key])
    }

    fn creation(&self, desired: &Map<String, Value>) -> Request {
        let body = Value::Object(definition::creation(desired));
        Request::post(&["metrics", self.rest.project()], &body)
    }

    fn amendment(&self, key: &str, patch: &[PatchOp]) -> Request {
        let body = patch.iter().map(PatchOp::to_json).collect();
        Request::patch(&["metrics", self.rest.project(), key], JSON, &body)
    }

    /// Lists definitions from an offset on, oldest first, so that a metric made meanwhile comes last
    /// and moves no page.
    pub async fn list(&self, offset: u64) -> Result<Answered<MetricsPage>, ApiError> {
        let request = Request::get(&["metrics", self.rest.project()])
            .with_query("limit", &PAGE_SIZE)
            .with_query("offset", &offset)
            .with_query("sort", &"createdAt");
        let Answered { value, status, limits, hint } =
            self.rest.send(&request).await?.json::<Listing>()?;
        let read = u64::try_from(value.items.len()).unwrap_or(u64::MAX);
        let end = offset.saturating_add(read);
        // Without a total, only a page that is not full is known to be the last one.
        let more = value.total.map_or(read >= PAGE_SIZE, |total| end < total);
        let next = (more && read > 0).then_some(end);
        Ok(Answered { value: MetricsPage { items: value.items, next }, status, limits, hint })
    }
}
