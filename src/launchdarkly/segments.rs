//! Segments: `/api/v2/segments/{project}/{environment}` and the partner endpoint.
//!
//! A change to members becomes one or several requests, which are values: whoever sends them asks
//! for leave before each one and repeats each one by itself. LaunchDarkly keeps sets, so a repeat
//! changes nothing; an older one after a newer one would, so the requests of a segment are sent one
//! at a time (P4).
//!
//! Source: <https://launchdarkly.com/docs/api/segments>.
//!
//! Not here: which change wins (`pipeline::coalesce`), pauses and repeats (`resilience`).

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::answer::{Answered, ApiError, Creation, Written};
use super::endpoint::{Endpoint, Server};
use super::facts::Access;
use super::members::MemberChanges;
use super::rest::{Request, RestClient, SEMANTIC_PATCH, unless};
use super::synced::{SyncedError, SyncedSegment};
use super::view::RequestView;
use crate::model::trace::TraceParent;

/// The most operations on targets that LaunchDarkly takes in one semantic patch. It says so of each
/// instruction; the sum over the request is the careful reading.
pub const PATCH_OPERATIONS: usize = 1_500;

/// Reads and writes the segments of one environment.
#[derive(Debug, Clone)]
pub struct SegmentsClient {
    rest: RestClient,
}

/// A segment to be created. It begins without members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSpec {
    pub key: String,
    pub name: String,
    pub description: Option<String>,
    pub tags: Vec<String>,
    pub form: SegmentForm,
}

/// How a segment keeps its members; cannot be changed later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentForm {
    /// Up to 15,000 targets of any context kinds.
    Standard,
    /// Any number of members of one context kind.
    Big { context_kind: String },
}

/// A segment as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentView {
    pub kind: SegmentKind,
    pub version: u64,
    /// Members of all context kinds; `None` when LaunchDarkly does not tell.
    pub included_count: Option<u64>,
    pub excluded_count: Option<u64>,
    /// What writes meanwhile come to is not documented.
    pub import_in_progress: bool,
    /// What the token may do with it, as far as LaunchDarkly tells.
    pub access: Access,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentKind {
    Standard,
    Big {
        context_kind: String,
    },
    /// Owned by a partner integration.
    Synced {
        context_kind: String,
        integration: String,
    },
}

/// One request that changes members. Can be sent as often as needed.
#[derive(Debug, Clone)]
pub struct MemberWrite {
    request: Request,
    changes: MemberChanges,
    endpoint: Endpoint,
}

/// The part of LaunchDarkly's answer that we read; members are counted and not kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SegmentBody {
    version: u64,
    unbounded: Option<bool>,
    unbounded_context_kind: Option<String>,
    #[serde(rename = "_external")]
    external: Option<String>,
    #[serde(rename = "_importInProgress")]
    import_in_progress: Option<bool>,
    #[serde(rename = "_unboundedMetadata")]
    metadata: Option<Counts>,
    included: Option<Vec<IgnoredAny>>,
    excluded: Option<Vec<IgnoredAny>>,
    included_contexts: Option<Vec<Targets>>,
    excluded_contexts: Option<Vec<Targets>>,
    #[serde(rename = "_access")]
    access: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    included_count: Option<u64>,
    excluded_count: Option<u64>,
}

#[derive(Deserialize)]
struct Targets {
    values: Option<Vec<IgnoredAny>>,
}

// === impl SegmentsClient ===

impl SegmentsClient {
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

    /// Reads a segment. `None` also when the project or the environment is unknown; a creation
    /// tells.
    pub async fn get(&self, key: &str) -> Result<Answered<Option<SegmentView>>, ApiError> {
        let answer = self.rest.send(&Request::get(&self.path(&[key]))).await;
        let view = |body: SegmentBody| Some(SegmentView::from(body));
        unless(answer.and_then(|answer| Ok(answer.json()?.map(view))), 404, None)
    }

    /// Reads nothing of the environment but that it is there.
    ///
    /// # Errors
    /// [`ErrorClass::Misconfigured`](super::answer::ErrorClass::Misconfigured) when the project or
    /// the environment is unknown.
    pub async fn find_environment(&self) -> Result<Answered<()>, ApiError> {
        let request = Request::get(&self.path(&[])).with_query("limit", &1);
        self.rest.send(&request).await.map(|answer| answer.with(()))
    }

    /// Creates a segment. After [`Creation::AlreadyThere`] it must be read: it may be of another
    /// kind.
    pub async fn create(
        &self,
        spec: &SegmentSpec,
    ) -> Result<Answered<Creation<SegmentView>>, ApiError> {
        let answer = self.rest.send(&self.creation(spec)).await;
        let created = |body: SegmentBody| Creation::Created(SegmentView::from(body));
        let answer = answer.and_then(|answer| Ok(answer.json()?.map(created)));
        unless(answer, 409, Creation::AlreadyThere)
    }

    /// Prepares a change to a big segment, whose context kind counts. LaunchDarkly documents no
    /// limit for it; the caller chooses how many members a request has.
    pub fn big_write(&self, key: &str, changes: &MemberChanges) -> MemberWrite {
        let request = Request::post(&self.path(&[key, "contexts"]), &changes.to_user_state());
        MemberWrite { request, changes: changes.clone(), endpoint: Endpoint::SegmentContexts }
    }

    /// Prepares a change to a standard segment, in as many requests as its limit takes.
    pub fn standard_writes(
        &self,
        key: &str,
        context_kind: &str,
        changes: &MemberChanges,
    ) -> Vec<MemberWrite> {
        let slices = changes.slices(PATCH_OPERATIONS).into_iter();
        let write = |changes: MemberChanges| {
            let body = changes.to_semantic_patch(self.rest.environment(), context_kind);
            let request = Request::patch(&self.path(&[key]), SEMANTIC_PATCH, &body);
            MemberWrite { request, changes, endpoint: Endpoint::SegmentUpdate }
        };
        slices.map(write).collect()
    }

    /// Prepares a change to a synced segment, which exists from the first one on.
    pub fn synced_writes(
        segment: &SyncedSegment,
        changes: &MemberChanges,
    ) -> Result<Vec<MemberWrite>, SyncedError> {
        let path = ["segment-targets", segment.integration().key()];
        let write = |(body, changes)| {
            let request = Request::post(&path, &body);
            MemberWrite { request, changes, endpoint: Endpoint::SegmentTargets }
        };
        Ok(segment.bodies(changes)?.into_iter().map(write).collect())
    }

    /// Sends a prepared change once.
    pub async fn write(&self, write: &MemberWrite) -> Result<Answered<Written>, ApiError> {
        let answer = self.rest.send(&write.request).await;
        let done = answer.map(|answer| answer.with(Written::Done));
        // The partner endpoint makes its segments, so a 404 says that the address is wrong.
        if write.endpoint == Endpoint::SegmentTargets {
            return done;
        }
        unless(done, 404, Written::Absent)
    }

    /// Shows the request of [`Self::write`].
    pub fn describe(&self, write: &MemberWrite) -> Result<RequestView, ApiError> {
        self.rest.describe(&write.request)
    }

    /// Shows the request of [`Self::create`].
    pub fn describe_create(&self, spec: &SegmentSpec) -> Result<RequestView, ApiError> {
        self.rest.describe(&self.creation(spec))
    }

    fn creation(&self, spec: &SegmentSpec) -> Request {
        Request::post(&self.path(&[]), &spec.to_json())
    }

    fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        let head = ["segments", self.rest.project(), self.rest.environment()];
        head.into_iter().chain(rest.iter().copied()).collect()
    }
}

// === impl MemberWrite ===

impl MemberWrite {
    /// What this request is for.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The changes that this request carries.
    pub fn changes(&self) -> &MemberChanges {
        &self.changes
    }
}

// === impl SegmentSpec ===

impl SegmentSpec {
    fn to_json(&self) -> Value {
        let context_kind = match &self.form {
            SegmentForm::Standard => None,
            SegmentForm::Big { context_kind } => Some(context_kind),
        };
        let Self { key, name, description, tags, .. } = self;
        let optional =
            [("description", description.as_ref()), ("unboundedContextKind", context_kind)];
        let members = [
            ("key", json!(key)),
            ("name", json!(name)),
            ("tags", json!(tags)),
            ("unbounded", json!(context_kind.is_some())),
        ];
        let optional = optional.into_iter().filter_map(|(name, text)| Some((name, json!(text?))));
        members.into_iter().chain(optional).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

// === impl SegmentView ===

impl From<SegmentBody> for SegmentView {
    fn from(body: SegmentBody) -> Self {
        // A standard segment tells its members, a big one their number.
        let listed = |keys: &Option<Vec<IgnoredAny>>, contexts: &Option<Vec<Targets>>| {
            let of_kinds = contexts.iter().flatten().filter_map(|targets| targets.values.as_ref());
            keys.iter().chain(of_kinds).map(Vec::len).sum::<usize>()
        };
        let unbounded = body.unbounded.unwrap_or_default();
        let (included_count, excluded_count) = if unbounded {
            body.metadata.map_or((None, None), |it| (it.included_count, it.excluded_count))
        } else {
            let count = |count| u64::try_from(count).ok();
            (
                count(listed(&body.included, &body.included_contexts)),
                count(listed(&body.excluded, &body.excluded_contexts)),
            )
        };
        // LaunchDarkly's own default where the kind is not told.
        let context_kind = body.unbounded_context_kind.unwrap_or_else(|| "user".to_owned());
        let integration = body.external.filter(|external| !external.is_empty());
        let kind = match (unbounded, integration) {
            (false, _) => SegmentKind::Standard,
            (true, None) => SegmentKind::Big { context_kind },
            (true, Some(integration)) => SegmentKind::Synced { context_kind, integration },
        };
        Self {
            kind,
            version: body.version,
            included_count,
            excluded_count,
            import_in_progress: body.import_in_progress.unwrap_or_default(),
            access: body.access.as_ref().map(Access::told).unwrap_or_default(),
        }
    }
}
