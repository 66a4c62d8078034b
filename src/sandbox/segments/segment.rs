//! Describes one segment and words it as the REST API does.
//!
//! Not here: how a segment changes (`amendment`), who is in it (`members`).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::members::{ByKind, List, Members};
use super::name::Name;
use crate::sandbox::identifiers::object_id;
use crate::sandbox::operation::Target;

/// The context kind of requests that name none.
pub(in crate::sandbox) const USER: &str = "user";

/// The sort of a segment; fixed when it is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(in crate::sandbox) enum Kind {
    /// Rules and up to 15,000 keys, of any context kinds.
    Standard,
    /// A larger list of keys of one context kind.
    Big { context_kind: Name },
    /// A big segment that an integration fills.
    Synced { context_kind: Name, integration: String, url: Option<String> },
}

/// What can be changed about a segment besides its members.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::sandbox) struct Details {
    pub(in crate::sandbox) name: String,
    pub(in crate::sandbox) description: Option<String>,
    pub(in crate::sandbox) tags: Vec<String>,
    /// Kept as written, with an `_id` for each.
    pub(in crate::sandbox) rules: Vec<Value>,
}

/// One segment.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Segment {
    pub(in crate::sandbox) key: String,
    pub(in crate::sandbox) kind: Kind,
    pub(in crate::sandbox) details: Details,
    pub(in crate::sandbox) members: Members,
    /// How many times a segment of this key was created.
    pub(in crate::sandbox) generation: u64,
    pub(in crate::sandbox) version: u64,
    /// Counts changes to the members of a big segment, which the version does not.
    pub(in crate::sandbox) membership_version: u64,
    pub(in crate::sandbox) created_at_ms: u64,
    pub(in crate::sandbox) modified_at_ms: u64,
}

// === impl Kind ===

impl Kind {
    /// Returns the only context kind of a big segment.
    pub(in crate::sandbox) fn context_kind(&self) -> Option<&Name> {
        match self {
            Self::Standard => None,
            Self::Big { context_kind } | Self::Synced { context_kind, .. } => Some(context_kind),
        }
    }

    pub(in crate::sandbox) fn is_synced(&self) -> bool {
        matches!(self, Self::Synced { .. })
    }
}

// === impl Segment ===

impl Segment {
    /// Words the segment as `UserSegment`. The members of a big segment are not in it, only counts.
    pub(in crate::sandbox) fn answer(&self, home: &Target, environment_id: &str) -> Value {
        let Target { project, environment } = home;
        let parent = format!("/api/v2/segments/{project}/{environment}");
        let mut answer = self.document();
        for (name, value) in [
            ("key", json!(self.key)),
            ("creationDate", json!(self.created_at_ms)),
            ("lastModifiedDate", json!(self.modified_at_ms)),
            ("deleted", json!(false)),
            ("unbounded", json!(self.kind.context_kind().is_some())),
            ("generation", json!(self.generation)),
            (
                "_links",
                json!({
                    "self": {"href": format!("{parent}/{}", self.key), "type": "application/json"},
                    "parent": {"href": parent, "type": "application/json"},
                }),
            ),
        ] {
            answer.insert(name.to_owned(), value);
        }
        if let Some(context_kind) = self.kind.context_kind() {
            answer.insert("unboundedContextKind".to_owned(), json!(context_kind));
            let metadata = self.metadata(home, environment_id);
            answer.insert("_unboundedMetadata".to_owned(), metadata);
            answer.insert("_importInProgress".to_owned(), json!(false));
        }
        if let Kind::Synced { integration, url, .. } = &self.kind {
            answer.insert("_external".to_owned(), json!(integration));
            if let Some(url) = url {
                answer.insert("_externalLink".to_owned(), json!(url));
            }
        }
        Value::Object(answer)
    }

    fn metadata(&self, home: &Target, environment_id: &str) -> Value {
        let generation = self.generation.to_string();
        let parts = ["segment", &home.project, &home.environment, &self.key, &generation];
        json!({
            "envId": environment_id,
            "segmentId": object_id(&parts),
            "version": self.membership_version,
            "includedCount": self.members.count(List::Included),
            "excludedCount": self.members.count(List::Excluded),
            "lastModified": self.modified_at_ms,
            "deleted": false,
        })
    }

    /// Returns the fields that a JSON patch may touch, and the version, which it may test.
    pub(super) fn document(&self) -> Map<String, Value> {
        let Details { name, description, tags, rules } = &self.details;
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(name));
        fields.insert("tags".to_owned(), json!(tags));
        fields.insert("rules".to_owned(), json!(rules));
        fields.insert("version".to_owned(), json!(self.version));
        if let Some(description) = description {
            fields.insert("description".to_owned(), json!(description));
        }
        if self.kind == Kind::Standard {
            for (list, users, contexts) in [
                (List::Included, "included", "includedContexts"),
                (List::Excluded, "excluded", "excludedContexts"),
            ] {
                let keys = self.members.of(list);
                fields.insert(
                    users.to_owned(),
                    json!(keys.get(USER).into_iter().flatten().collect::<Vec<_>>()),
                );
                fields.insert(contexts.to_owned(), other_contexts(keys));
            }
        }
        fields
    }
}

/// Words the targets of every kind but `user`, which have fields of their own.
fn other_contexts(keys: &ByKind) -> Value {
    let others = keys.iter().filter(|(kind, _)| ***kind != *USER);
    others.map(|(kind, keys)| json!({"contextKind": kind, "values": keys})).collect()
}

/// What `GET /sandbox/segments/...` shows of a segment.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Portrait<'a> {
    project: &'a str,
    environment: &'a str,
    key: &'a str,
    name: &'a str,
    #[serde(flatten)]
    kind: &'a Kind,
    version: u64,
    membership_version: u64,
    generation: u64,
    included_count: usize,
    excluded_count: usize,
    /// Without the members where only counts were asked for.
    #[serde(flatten)]
    members: Option<&'a Members>,
}

/// How much of a segment is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Detail {
    Members,
    Counts,
}

// === impl Portrait ===

impl<'a> Portrait<'a> {
    pub(in crate::sandbox) fn of(segment: &'a Segment, home: &'a Target, detail: Detail) -> Self {
        Self {
            project: &home.project,
            environment: &home.environment,
            key: &segment.key,
            name: &segment.details.name,
            kind: &segment.kind,
            version: segment.version,
            membership_version: segment.membership_version,
            generation: segment.generation,
            included_count: segment.members.count(List::Included),
            excluded_count: segment.members.count(List::Excluded),
            members: (detail == Detail::Members).then_some(&segment.members),
        }
    }
}

/// Reads the targets back out of a patched document.
///
/// # Errors
/// What is wrong with the document.
pub(super) fn members_of(document: &Map<String, Value>) -> Result<Members, String> {
    let mut members = Members::default();
    for (target, users, contexts) in [
        (&mut members.included, "included", "includedContexts"),
        (&mut members.excluded, "excluded", "excludedContexts"),
    ] {
        let mut by_kind: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
        by_kind.insert(USER.into(), names(document.get(users), users)?);
        let others = document.get(contexts).and_then(Value::as_array);
        for other in others.into_iter().flatten() {
            let kind = other.get("contextKind").and_then(Value::as_str).unwrap_or(USER);
            let keys = names(other.get("values"), contexts)?;
            by_kind.entry(kind.into()).or_default().extend(keys);
        }
        by_kind.retain(|_, keys| !keys.is_empty());
        *target =
            by_kind.into_iter().map(|(kind, keys)| (kind, keys.into_iter().collect())).collect();
    }
    Ok(members)
}

fn names(value: Option<&Value>, field: &str) -> Result<Vec<Name>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let keys = |items: &Vec<Value>| items.iter().map(|it| it.as_str().map(Name::from)).collect();
    value.as_array().and_then(keys).ok_or_else(|| format!("`{field}` must be an array of strings"))
}
