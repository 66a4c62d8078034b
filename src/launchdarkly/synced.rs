//! Synced segments: the bodies that partner integrations send to `POST /api/v2/segment-targets/{key}`.
//!
//! LaunchDarkly reads each integration's body as that integration's manifest says, so the shape
//! depends on the key. A synced segment has members and no exclusions, is made by the first request
//! that names its cohort, and cannot be read or replaced by this way.
//!
//! Sources: <https://launchdarkly.com/docs/guides/integrations/build-synced-segments> and the
//! manifests at <https://github.com/launchdarkly/integration-framework/tree/main/integrations>.
//!
//! Not here: who sends (`segments`).

use std::fmt;

use serde_json::{Value, json};

use super::members::{MemberChanges, MemberIntent};

/// Members of one request. RudderStack's integration takes no more; for the others no limit is
/// documented, and the vendors' own batches end here too.
const MAX_MEMBERS: usize = 1_000;
/// The kind of a context where the body names none.
const DEFAULT_KIND: &str = "user";

/// A synced segment as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncedSpec {
    /// The name of the integration's directory in LaunchDarkly's integration framework.
    pub integration_key: String,
    /// The environment's client-side ID, which stands for project and environment here.
    pub client_side_id: String,
    /// LaunchDarkly advises 128 characters at most.
    pub cohort_id: String,
    pub cohort_name: String,
    pub context_kind: String,
}

/// A synced segment as usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncedSegment {
    integration: Integration,
    spec: SyncedSpec,
}

/// An integration whose body we can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integration {
    SegmentAudiences,
    Amplitude,
    Census,
    RudderStack,
    Fulcrum,
    Sumatra,
    Hightouch,
}

/// Why a synced segment cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncedError {
    #[error("`{key}` is no integration that ldsink can write for; there are {}", Keys)]
    UnknownIntegration { key: String },
    #[error("`{field}` of a synced segment is empty")]
    Empty { field: &'static str },
    #[error("the integration `{integration}` carries no context kind other than {DEFAULT_KIND}")]
    OnlyUsers { integration: &'static str },
    #[error("a synced segment has no list of excluded members")]
    Exclusion,
}

/// All keys, for a message.
struct Keys;

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Integration::ALL.map(Integration::key).join(", "))
    }
}

// === impl Integration ===

impl Integration {
    pub const ALL: [Self; 7] = [
        Self::SegmentAudiences,
        Self::Amplitude,
        Self::Census,
        Self::RudderStack,
        Self::Fulcrum,
        Self::Sumatra,
        Self::Hightouch,
    ];

    pub fn key(self) -> &'static str {
        match self {
            Self::SegmentAudiences => "segment-audiences",
            Self::Amplitude => "amplitude",
            Self::Census => "census-synced-segments",
            Self::RudderStack => "rudderstack",
            Self::Fulcrum => "fulcrum",
            Self::Sumatra => "sumatra-synced-segments",
            Self::Hightouch => "hightouch",
        }
    }
}

// === impl SyncedSegment ===

impl SyncedSegment {
    pub fn try_new(spec: SyncedSpec) -> Result<Self, SyncedError> {
        let known = Integration::ALL.into_iter().find(|it| it.key() == spec.integration_key);
        let Some(integration) = known else {
            return Err(SyncedError::UnknownIntegration { key: spec.integration_key });
        };
        for (field, text) in [
            ("client_side_id", &spec.client_side_id),
            ("cohort_id", &spec.cohort_id),
            ("cohort_name", &spec.cohort_name),
            ("context_kind", &spec.context_kind),
        ] {
            if text.is_empty() {
                return Err(SyncedError::Empty { field });
            }
        }
        if integration == Integration::Amplitude && spec.context_kind != DEFAULT_KIND {
            return Err(SyncedError::OnlyUsers { integration: integration.key() });
        }
        Ok(Self { integration, spec })
    }

    pub fn integration(&self) -> Integration {
        self.integration
    }

    /// Cuts changes into requests: the body of each and the changes that it carries.
    pub(super) fn bodies(
        &self,
        changes: &MemberChanges,
    ) -> Result<Vec<(Value, MemberChanges)>, SyncedError> {
        let mut members = Vec::new();
        for (key, intent) in changes.members() {
            match intent {
                MemberIntent::Include => members.push((key.as_str(), true)),
                MemberIntent::DropIncluded | MemberIntent::Drop => {
                    members.push((key.as_str(), false));
                }
                MemberIntent::Exclude | MemberIntent::DropExcluded => {
                    return Err(SyncedError::Exclusion);
                }
            }
        }
        if self.integration == Integration::Hightouch {
            // One action per request; the order between members means nothing, so neither does
            // that of the two kinds.
            members.sort_by_key(|(_, add)| *add);
        }
        let together = |one: &(&str, bool), other: &(&str, bool)| {
            self.integration != Integration::Hightouch || one.1 == other.1
        };
        let slices = members.chunk_by(together).flat_map(|alike| alike.chunks(MAX_MEMBERS));
        Ok(slices.map(|slice| (self.body(slice), carried(slice))).collect())
    }

    fn body(&self, members: &[(&str, bool)]) -> Value {
        let SyncedSpec { client_side_id, cohort_id, cohort_name, context_kind, .. } = &self.spec;
        let rows = |row: &dyn Fn(&str, bool) -> Value| -> Value {
            members.iter().map(|(key, add)| row(key, *add)).collect()
        };
        let ids = |name: &str, wanted: bool| -> Value {
            members.iter().filter(|it| it.1 == wanted).map(|it| json!({ name: it.0 })).collect()
        };
        let camel_row = |key: &str, add: bool| {
            json!({
                "userId": key, "cohortName": cohort_name, "cohortId": cohort_id, "value": add,
            })
        };
        let named = |list: &str| {
            json!({
                "environmentId": client_side_id, "contextKind": context_kind,
                "cohortId": cohort_id, "cohortName": cohort_name,
                list: { "add": ids("id", true), "remove": ids("id", false) },
            })
        };
        match self.integration {
            Integration::SegmentAudiences => json!({
                "environmentId": client_side_id, "contextKind": context_kind,
                "batch": rows(&camel_row),
            }),
            Integration::Amplitude => {
                json!({ "environmentId": client_side_id, "batch": rows(&camel_row) })
            }
            Integration::Census => json!({
                "environment_id": client_side_id, "context_kind": context_kind,
                "batch": rows(&|key, add| json!({
                    "user_id": key, "cohort_id": cohort_id, "cohort_name": cohort_name,
                    "value": add,
                })),
            }),
            Integration::RudderStack => named("listData"),
            Integration::Fulcrum | Integration::Sumatra => named("included"),
            Integration::Hightouch => {
                let add = members.first().is_some_and(|(_, add)| *add);
                json!({
                    "environmentId": client_side_id, "contextKind": context_kind,
                    "cohortId": cohort_id, "cohortName": cohort_name,
                    "action": if add { "add" } else { "remove" },
                    "members": ids("integration_distinct_id", add),
                })
            }
        }
    }
}

fn carried(members: &[(&str, bool)]) -> MemberChanges {
    MemberChanges::from_intents(members.iter().map(|(key, add)| {
        let intent = if *add { MemberIntent::Include } else { MemberIntent::DropIncluded };
        ((*key).to_owned(), intent)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(integration: &str) -> SyncedSpec {
        SyncedSpec {
            integration_key: integration.to_owned(),
            client_side_id: "5f0c".to_owned(),
            cohort_id: "vip".to_owned(),
            cohort_name: "VIP".to_owned(),
            context_kind: "user".to_owned(),
        }
    }

    fn bodies(integration: &str, members: &[(&str, bool)]) -> Vec<Value> {
        let segment = SyncedSegment::try_new(spec(integration)).unwrap();
        let bodies = segment.bodies(&carried(members)).unwrap();
        bodies.into_iter().map(|(body, _)| body).collect()
    }

    #[test]
    fn each_integration_has_its_shape() {
        let camel = json!([
            {"userId": "in", "cohortName": "VIP", "cohortId": "vip", "value": true},
            {"userId": "out", "cohortName": "VIP", "cohortId": "vip", "value": false},
        ]);
        let lists = json!({"add": [{"id": "in"}], "remove": [{"id": "out"}]});
        let named = |list: &str| {
            json!([{
                "environmentId": "5f0c", "contextKind": "user", "cohortId": "vip",
                "cohortName": "VIP", list: lists,
            }])
        };
        let hightouch = |action: &str, member: &str| {
            json!({
                "environmentId": "5f0c", "contextKind": "user", "cohortId": "vip",
                "cohortName": "VIP", "action": action,
                "members": [{"integration_distinct_id": member}],
            })
        };
        let census = json!([
            {"user_id": "in", "cohort_id": "vip", "cohort_name": "VIP", "value": true},
            {"user_id": "out", "cohort_id": "vip", "cohort_name": "VIP", "value": false},
        ]);
        for (integration, expected) in [
            (
                "segment-audiences",
                json!([{"environmentId": "5f0c", "contextKind": "user", "batch": camel}]),
            ),
            ("amplitude", json!([{"environmentId": "5f0c", "batch": camel}])),
            (
                "census-synced-segments",
                json!([{"environment_id": "5f0c", "context_kind": "user", "batch": census}]),
            ),
            ("rudderstack", named("listData")),
            ("fulcrum", named("included")),
            ("sumatra-synced-segments", named("included")),
            ("hightouch", json!([hightouch("remove", "out"), hightouch("add", "in")])),
        ] {
            let sent = bodies(integration, &[("in", true), ("out", false)]);
            assert_eq!(Value::Array(sent), expected, "{integration}");
        }
    }

    #[test]
    fn large_changes_are_cut_and_every_member_is_carried_once() {
        let keys: Vec<_> = (0..2_300).map(|n| n.to_string()).collect();
        let members: Vec<_> = keys.iter().map(|key| (key.as_str(), key.len() > 3)).collect();
        for (integration, sizes) in
            [("rudderstack", &[1_000, 1_000, 300][..]), ("hightouch", &[1_000, 1_000, 300])]
        {
            let segment = SyncedSegment::try_new(spec(integration)).unwrap();
            let bodies = segment.bodies(&carried(&members)).unwrap();
            let cut: Vec<_> = bodies.iter().map(|(_, its)| its.members().len()).collect();
            assert_eq!(cut, sizes);
            let all = bodies.iter().flat_map(|(_, its)| its.members().to_vec());
            assert_eq!(MemberChanges::from_intents(all).members().len(), 2_300);
        }
        assert!(bodies("hightouch", &[]).is_empty());
    }

    #[test]
    fn what_cannot_be_written_is_refused_when_made() {
        let unknown = SyncedSegment::try_new(spec("heap")).unwrap_err().to_string();
        for integration in Integration::ALL {
            assert!(unknown.contains(integration.key()), "{unknown}");
        }
        let nameless = SyncedSpec { cohort_name: String::new(), ..spec("fulcrum") };
        let empty = SyncedError::Empty { field: "cohort_name" };
        assert_eq!(SyncedSegment::try_new(nameless), Err(empty));
        let devices = SyncedSpec { context_kind: "device".to_owned(), ..spec("amplitude") };
        let only_users = SyncedError::OnlyUsers { integration: "amplitude" };
        assert_eq!(SyncedSegment::try_new(devices), Err(only_users));
        let segment = SyncedSegment::try_new(spec("fulcrum")).unwrap();
        for intent in [MemberIntent::Exclude, MemberIntent::DropExcluded] {
            let changes = MemberChanges::from_intents([("a".to_owned(), intent)]);
            assert_eq!(segment.bodies(&changes), Err(SyncedError::Exclusion));
        }
    }
}
