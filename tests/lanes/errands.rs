//! The requests that ldsink makes for records, and how to see that one was carried out.

use serde_json::{Value, json};

use crate::rig::{House, head};
use crate::tables::shown_lists;

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    Events,
    BigMembers,
    StandardMembers,
    SyncedMembers,
    SegmentCreation,
    MetricReading,
    MetricCreation,
    MetricPatch,
    MetricArchiving,
}

pub(crate) const MEMBERS: [usize; 4] = [1, 2, 3, 4];
/// Is there before.
const FIRST: usize = 9;

/// Segments and metrics that the records name.
pub(crate) fn config(url: &str, project: &str, client_side_id: &str) -> String {
    let member = |kind: &str, more: &str| {
        format!(
            r#"  - name: {kind}
    topics: [t]
    format: debezium
    before: full
    when: row.t == "{kind}"
    segment_member:
      target: production
      segment: $.row.s
      context_key: $.row.m
      kind: {kind}
{more}"#
        )
    };
    let synced =
        format!("      synced: {{ integration_key: fulcrum, client_side_id: {client_side_id} }}\n");
    let create = "      create: true\n";
    let members =
        [member("big", create), member("standard", create), member("synced", &synced)].concat();
    let head = head(project, url);
    format!(
        r#"{head}
{members}  - name: event
    topics: [t]
    format: debezium
    before: full
    when: row.t == "event"
    metric_event: {{ target: production, key: paid, context: {{ user: $.row.m }} }}
  - name: metric
    topics: [t]
    format: debezium
    before: full
    when: row.t == "metric"
    metric:
      target: production
      key: k
      name: $.row.m
      kind: custom
      event_key: paid
      is_numeric: false
      success_criteria: HigherThanBaseline
      on_delete: archive
"#
    )
}

fn record(op: &str, table: &str, member: usize) -> String {
    let row = json!({ "t": table, "s": "s", "m": format!("m-{member}") });
    let (before, after) = if op == "d" { (row, Value::Null) } else { (Value::Null, row) };
    json!({ "op": op, "before": before, "after": after }).to_string()
}

// === impl Errand ===

impl Errand {
    pub(crate) const ALL: [Self; 9] = [
        Self::Events,
        Self::BigMembers,
        Self::StandardMembers,
        Self::SyncedMembers,
        Self::SegmentCreation,
        Self::MetricReading,
        Self::MetricCreation,
        Self::MetricPatch,
        Self::MetricArchiving,
    ];

    /// The sandbox's word for the request.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Events => "metric_import",
            Self::BigMembers => "segment_contexts",
            Self::StandardMembers => "segment_update",
            Self::SyncedMembers => "segment_targets",
            Self::SegmentCreation => "segment_create",
            Self::MetricReading => "metric_get",
            Self::MetricCreation => "metric_create",
            Self::MetricPatch | Self::MetricArchiving => "metric_update",
        }
    }

    /// Our word for the lane that makes it.
    pub(crate) fn lane(self) -> &'static str {
        match self {
            Self::Events => "metric_event",
            Self::BigMembers
            | Self::StandardMembers
            | Self::SyncedMembers
            | Self::SegmentCreation => "segment_member",
            Self::MetricReading
            | Self::MetricCreation
            | Self::MetricPatch
            | Self::MetricArchiving => "metric",
        }
    }

    /// The request that shows how things stand after a conflict.
    pub(crate) fn look(self) -> Option<&'static str> {
        match self {
            Self::Events | Self::BigMembers | Self::StandardMembers | Self::SyncedMembers => None,
            // Whether the segment is there now, the members' own request tells.
            Self::SegmentCreation => Some("segment_contexts"),
            Self::MetricReading
            | Self::MetricCreation
            | Self::MetricPatch
            | Self::MetricArchiving => Some("metric_get"),
        }
    }

    pub(crate) fn takes_several(self) -> bool {
        self.look().is_none()
    }

    fn table(self) -> &'static str {
        match self {
            Self::Events => "event",
            Self::BigMembers | Self::SegmentCreation => "big",
            Self::StandardMembers => "standard",
            Self::SyncedMembers => "synced",
            Self::MetricReading
            | Self::MetricCreation
            | Self::MetricPatch
            | Self::MetricArchiving => "metric",
        }
    }

    /// The record that makes what the errand is about.
    pub(crate) fn preparation(self) -> Option<String> {
        let made = !matches!(self, Self::Events | Self::SegmentCreation | Self::MetricCreation);
        made.then(|| record("c", self.table(), FIRST))
    }

    /// The record whose operation takes this request.
    pub(crate) fn record(self, member: usize) -> String {
        let op = if self == Self::MetricArchiving { "d" } else { "c" };
        record(op, self.table(), member)
    }

    /// Whether LaunchDarkly has what the record wanted, once.
    pub(crate) fn is_done(self, house: &House, project: &str, member: usize) -> bool {
        let look = |path: String| house.runtime.block_on(house.sandbox.look(&path));
        let member = format!("m-{member}");
        let key = match self {
            Self::Events => {
                let shown = look(format!("/sandbox/events?project={project}")).unwrap();
                let events = shown["events"].as_array().unwrap().iter();
                let own = |it: &&Value| it["event"]["contextKeys"]["user"] == member.as_str();
                return events.filter(own).filter(|it| it["counts"] == true).count() == 1;
            }
            Self::SyncedMembers => "fulcrum-s",
            Self::BigMembers | Self::StandardMembers | Self::SegmentCreation => "s",
            Self::MetricReading
            | Self::MetricCreation
            | Self::MetricPatch
            | Self::MetricArchiving => {
                let shown = look(format!("/sandbox/metrics/{project}/k")).unwrap_or_default();
                let definition = &shown["definition"];
                return if self == Self::MetricArchiving {
                    definition["archived"] == true
                } else {
                    definition["name"] == member.as_str()
                };
            }
        };
        let shown = look(format!("/sandbox/segments/{project}/production/{key}"));
        shown_lists(shown.as_ref())[0].contains(&("user".to_owned(), member))
    }
}
