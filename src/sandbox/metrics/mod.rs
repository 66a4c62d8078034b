//! Holds the metric definitions of all projects.
//!
//! # Invariants
//! - G1: every change that changes something raises the version by one and gives a new version ID.
//! - G2: a patch that fails leaves the metric as it was.
//!
//! Not here: what a definition may look like (`definition`, `rules`), paging (`page`).

mod definition;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use self::definition::{Definition, FIXED};
use super::clock::date_of;
use super::history::{HistoryBook, HistoryPage, Receipt};
use super::identifiers::{object_id, unique_id};
use super::json_patch::{self, Action, PatchOperation};
use super::operation::Occasion;
use super::refusal::Refusal;
use super::settings::JournalMode;

/// One accepted change to a metric, as its history tells it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MetricChange {
    effect: Effect,
    /// Whether anything is different from before.
    changed: bool,
    version: u64,
    /// The metric as it was answered afterwards; `None` once deleted.
    definition: Option<Answer>,
}

/// A metric as it is answered; shared by all who tell of it.
#[derive(Debug, Clone)]
pub(super) struct Answer(Arc<Value>);

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Effect {
    Created,
    Updated,
    Deleted,
}

/// One metric.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    id: String,
    version: u64,
    created_at_ms: u64,
    modified_at_ms: u64,
    definition: Definition,
}

/// A change that was made, and the metric as it is answered.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) answer: Answer,
    pub(super) receipt: Receipt,
}

/// The metrics of all projects.
#[derive(Debug)]
pub(super) struct Metrics {
    projects: BTreeMap<String, BTreeMap<String, Metric>>,
    history: HistoryBook<(String, String), MetricChange>,
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn new(mode: JournalMode) -> Self {
        Self { projects: BTreeMap::new(), history: HistoryBook::new(mode) }
    }

    /// Returns a project's metrics in the order of their keys.
    pub(super) fn of_project(&self, project: &str) -> impl Iterator<Item = &Metric> {
        self.projects.get(project).into_iter().flat_map(BTreeMap::values)
    }

    /// Returns the project, key and version of every metric.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.projects.iter().flat_map(|(project, metrics)| {
            metrics.iter().map(|(key, metric)| (project.as_str(), key.as_str(), metric.version))
        })
    }

    pub(super) fn get(&self, project: &str, key: &str) -> Result<&Metric, Refusal> {
        let metric = self.projects.get(project).and_then(|metrics| metrics.get(key));
        metric.ok_or_else(|| unknown(project, key))
    }

    /// # Errors
    /// 400 for a definition that breaks a rule, 409 for a key that is taken.
    pub(super) fn create(
        &mut self,
        project: &str,
        fields: Map<String, Value>,
        occasion: Occasion,
    ) -> Result<Written, Refusal> {
        let definition = Definition::from_creation(fields).map_err(Refusal::bad_request)?;
        let key = definition.text("key").to_owned();
        let metrics = self.projects.entry(project.to_owned()).or_default();
        if metrics.contains_key(&key) {
            return Err(Refusal::key_exists(format!("project {project} has a metric {key}")));
        }
        // Lists are in the order of creation, so no two are made in one millisecond.
        let after = metrics.values().map(|metric| metric.created_at_ms + 1).max();
        let created_at_ms = occasion.at_ms.max(after.unwrap_or_default());
        let metric = Metric {
            id: object_id(&["metric", project, &key]),
            version: 1,
            created_at_ms,
            modified_at_ms: created_at_ms,
            definition,
        };
        let answer = Answer(Arc::new(metric.answer(project)));
        metrics.insert(key.clone(), metric);
        let (version, definition) = (1, Some(answer.clone()));
        let change = MetricChange { effect: Effect::Created, changed: true, version, definition };
        let receipt = self.write(project, key, occasion, change);
        Ok(Written { answer, receipt })
    }

    /// # Errors
    /// 404, 400 for a patch that cannot be applied or breaks a rule, 409 for a failed test.
    pub(super) fn patch(
        &mut self,
        project: &str,
        key: &str,
        patch: &[PatchOperation],
        occasion: Occasion,
    ) -> Result<Written, Refusal> {
        let metrics = self.projects.get_mut(project);
        let metric = metrics.and_then(|metrics| metrics.get_mut(key));
        let metric = metric.ok_or_else(|| unknown(project, key))?;
        let definition = metric.patched(project, patch)?;
        let changed = definition != metric.definition;
        if changed {
            metric.definition = definition;
            metric.version += 1;
            metric.modified_at_ms = occasion.at_ms;
        }
        let answer = Answer(Arc::new(metric.answer(project)));
        let (version, definition) = (metric.version, Some(answer.clone()));
        let change = MetricChange { effect: Effect::Updated, changed, version, definition };
        let receipt = self.write(project, key.to_owned(), occasion, change);
        Ok(Written { answer, receipt })
    }

    /// # Errors
    /// 404.
    pub(super) fn delete(
        &mut self,
        project: &str,
        key: &str,
        occasion: Occasion,
    ) -> Result<Receipt, Refusal> {
        let removed = self.projects.get_mut(project).and_then(|metrics| metrics.remove(key));
        let Metric { version, .. } = removed.ok_or_else(|| unknown(project, key))?;
        let effect = Effect::Deleted;
        let change = MetricChange { effect, changed: true, version, definition: None };
        Ok(self.write(project, key.to_owned(), occasion, change))
    }

    fn write(
        &mut self,
        project: &str,
        key: String,
        occasion: Occasion,
        change: MetricChange,
    ) -> Receipt {
        let home = (project.to_owned(), key);
        let seq = self.history.write(home.clone(), occasion, change);
        Receipt::Metric { home, seq }
    }

    pub(super) fn stamp(&mut self, home: &(String, String), seq: u64, request: u64) {
        self.history.stamp(home, seq, request);
    }

    pub(super) fn history(
        &self,
        home: &(String, String),
        from: u64,
        limit: usize,
    ) -> HistoryPage<MetricChange> {
        self.history.page(home, from, limit)
    }

    /// Forgets what happened; the metrics stay.
    pub(super) fn forget_history(&mut self) {
        self.history.forget();
    }

    /// Forgets the metrics; what happened stays.
    pub(super) fn clear(&mut self) {
        self.projects.clear();
    }
}

fn unknown(project: &str, key: &str) -> Refusal {
    Refusal::not_found(format!("project {project} has no metric {key}"))
}

// === impl Answer ===

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

// === impl Metric ===

impl Metric {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn created_at_ms(&self) -> u64 {
        self.created_at_ms
    }

    pub(super) fn name(&self) -> &str {
        self.definition.text("name")
    }

    /// Renders the metric as `MetricRep`, which holds all of `MetricListingRep` too.
    pub(super) fn answer(&self, project: &str) -> Value {
        let key = self.definition.text("key");
        let version = self.version.to_string();
        let parent = format!("/api/v2/metrics/{project}");
        let mut answer = self.definition.fields().clone();
        for (name, value) in [
            ("_id", json!(self.id)),
            ("_versionId", json!(unique_id(&["metric version", project, key, &version]))),
            ("_version", json!(self.version)),
            ("_creationDate", json!(self.created_at_ms)),
            ("lastModified", json!({"date": date_of(self.modified_at_ms)})),
            (
                "_links",
                json!({
                    "self": {"href": format!("{parent}/{key}"), "type": "application/json"},
                    "parent": {"href": parent, "type": "application/json"},
                }),
            ),
        ] {
            answer.insert(name.to_owned(), value);
        }
        Value::Object(answer)
    }

    /// Applies a patch to what the metric is answered as, and checks what comes out (G2).
    fn patched(&self, project: &str, patch: &[PatchOperation]) -> Result<Definition, Refusal> {
        patch.iter().try_for_each(ensure_editable)?;
        let mut document = self.answer(project);
        // Whether a test names the version as answered, or as for other resources, is undocumented.
        if let Value::Object(fields) = &mut document {
            fields.insert("version".to_owned(), json!(self.version));
        }
        json_patch::apply(&mut document, patch)?;
        let Value::Object(fields) = document else {
            return Err(Refusal::bad_request("a metric is an object"));
        };
        Definition::from_patched(fields, &self.definition).map_err(Refusal::bad_request)
    }
}

fn ensure_editable(operation: &PatchOperation) -> Result<(), Refusal> {
    let field = operation.field();
    let editable = Definition::is_field(field) && !FIXED.contains(&field);
    if editable || operation.action == Action::Test {
        return Ok(());
    }
    Err(Refusal::bad_request(format!("/{field} of a metric cannot be changed")))
}
