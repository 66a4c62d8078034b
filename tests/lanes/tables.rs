//! Changes, the records that tell of them, and what a naive program would make of them: it applies
//! one after the other.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::rig::head;

/// The routes to segments: name, value of the row's `t`, and what is special about them.
const MEMBERS: [(&str, &str, &str); 9] = [
    ("big", "big", "segment: $.row.s, member: row.on, create: true"),
    ("not-big", "notbig", "segment: $.row.s, member: row.on, list: excluded, create: true"),
    ("vip", "both", "segment: $.row.s, member: row.on, create: true"),
    ("banned", "both", "segment: $.row.s, member: row.off, list: excluded, create: true"),
    ("std", "std", "segment: s-0, kind: standard, member: row.on, create: true"),
    (
        "not-std",
        "notstd",
        "segment: s-0, kind: standard, member: row.on, list: excluded, create: true",
    ),
    (
        "device",
        "device",
        "segment: s-0, kind: standard, context_kind: device, member: row.on, create: true",
    ),
    ("move", "move", "segment: $.row.s, member: row.on, create: true"),
    ("plan", "plan", "segment: $.row.s, exclusive: [b-0, b-1], create: true"),
];

/// Routes for everything that has an order, on one topic.
pub(crate) fn config(url: &str, project: &str, client_side_id: &str) -> String {
    // The same name as a big segment, and another segment all the same.
    let synced = format!(
        "segment: b-0, kind: synced, member: row.on, \
         synced: {{ integration_key: segment-audiences, client_side_id: {client_side_id} }}"
    );
    let all = MEMBERS.into_iter().chain([("loyal", "synced", synced.as_str())]);
    let routes = all.map(|(name, table, what)| {
        format!(
            r#"  - name: {name}
    topics: [t]
    format: debezium
    before: full
    when: row.t == "{table}"
    segment_member: {{ target: production, context_key: $.row.m, {what} }}
"#
        )
    });
    let routes = routes.collect::<String>();
    let head = head(project, url);
    format!(
        r#"{head}
{routes}  - name: metric
    topics: [t]
    format: debezium
    before: full
    when: row.t == "metric"
    metric:
      target: production
      key: $.row.k
      name: $.row.name
      kind: custom
      event_key: $.row.k
      is_numeric: true
      unit: $.row.unit
      success_criteria: HigherThanBaseline
"#
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Big,
    NotBig,
    /// Two routes: one for each list.
    Both,
    Standard,
    NotStandard,
    Device,
    Synced,
    /// The row says where it was before.
    Move,
    /// The row does not, but the plans exclude each other.
    Plan,
    /// The row of `Big` is deleted.
    Deleted,
    Metric,
}

/// A change of a row.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) partition: i32,
    /// A segment or a metric.
    thing: usize,
    /// Where a moved row was.
    from: usize,
    member: usize,
    on: bool,
    off: bool,
    name: u32,
}

#[derive(Debug, Clone, Copy)]
enum Wish {
    Include,
    Exclude,
    Uninclude,
    Unexclude,
}

/// Who is in which segment, and how metrics are defined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    /// Segment → kind of context → its members.
    segments: BTreeMap<String, BTreeMap<&'static str, Members>>,
    pub(crate) metrics: BTreeMap<String, String>,
}

/// Member → (included, excluded).
type Members = BTreeMap<String, (bool, bool)>;

/// Members and metrics that LaunchDarkly refuses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Poison {
    pub(crate) member: Option<usize>,
    pub(crate) metric: Option<usize>,
}

pub(crate) const SEGMENTS: [&str; 4] = ["b-0", "b-1", "s-0", "segment-audiences-b-0"];

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let kind = prop::sample::select(vec![
        Kind::Big,
        Kind::NotBig,
        Kind::Both,
        Kind::Standard,
        Kind::NotStandard,
        Kind::Device,
        Kind::Synced,
        Kind::Move,
        Kind::Plan,
        Kind::Deleted,
        Kind::Metric,
    ]);
    let places = (0..3_i32, 0..2_usize, 0..2_usize, 0..5_usize);
    (kind, places, any::<bool>(), any::<bool>(), 0..1_000_u32).prop_map(
        |(kind, (partition, thing, from, member), on, off, name)| Change {
            kind,
            partition,
            thing,
            from,
            member,
            on,
            off,
            name,
        },
    )
}

pub(crate) fn member_key(member: usize) -> String {
    format!("m-{member}")
}

pub(crate) fn metric_key(metric: usize) -> String {
    format!("k-{metric}")
}

// === impl Change ===

impl Change {
    fn word(&self) -> &'static str {
        match self.kind {
            Kind::Big | Kind::Deleted => "big",
            Kind::NotBig => "notbig",
            Kind::Both => "both",
            Kind::Standard => "std",
            Kind::NotStandard => "notstd",
            Kind::Device => "device",
            Kind::Synced => "synced",
            Kind::Move => "move",
            Kind::Plan => "plan",
            Kind::Metric => "metric",
        }
    }

    /// As Debezium tells it.
    pub(crate) fn value(&self) -> String {
        let Self { on, off, name, .. } = self;
        let row = |segment: usize| {
            json!({
                "t": self.word(), "s": format!("b-{segment}"), "m": member_key(self.member),
                "on": on, "off": off, "k": metric_key(self.thing), "name": format!("n {name}"),
                "unit": format!("u{name}"),
            })
        };
        let now = row(self.thing);
        let (op, before, after) = match self.kind {
            Kind::Deleted => ("d", now, Value::Null),
            Kind::Move => ("u", row(self.from), now),
            Kind::Big
            | Kind::NotBig
            | Kind::Both
            | Kind::Standard
            | Kind::NotStandard
            | Kind::Device
            | Kind::Synced
            | Kind::Plan
            | Kind::Metric => ("c", Value::Null, now),
        };
        json!({ "op": op, "before": before, "after": after }).to_string()
    }

    /// Segment, kind of context and wish, in order.
    fn wishes(&self) -> Vec<(String, &'static str, Wish)> {
        use Wish::{Exclude, Include, Unexclude, Uninclude};
        let included = if self.on { Include } else { Uninclude };
        let excluded = if self.on { Exclude } else { Unexclude };
        let big = |segment: usize| format!("b-{segment}");
        let (here, standard) = (big(self.thing), "s-0".to_owned());
        match self.kind {
            Kind::Big => vec![(here, "user", included)],
            Kind::NotBig => vec![(here, "user", excluded)],
            Kind::Both => {
                let banned = if self.off { Exclude } else { Unexclude };
                vec![(here.clone(), "user", included), (here, "user", banned)]
            }
            Kind::Standard => vec![(standard, "user", included)],
            Kind::NotStandard => vec![(standard, "user", excluded)],
            Kind::Device => vec![(standard, "device", included)],
            Kind::Synced => vec![("segment-audiences-b-0".to_owned(), "user", included)],
            Kind::Move => {
                let left = (self.from != self.thing).then(|| (big(self.from), "user", Uninclude));
                left.into_iter().chain([(here, "user", included)]).collect()
            }
            Kind::Plan => vec![(big(1 - self.thing), "user", Uninclude), (here, "user", Include)],
            Kind::Deleted => vec![(here, "user", Uninclude)],
            Kind::Metric => Vec::new(),
        }
    }

    /// How often its record has to be settled.
    pub(crate) fn obligations(&self) -> usize {
        self.wishes().len() + usize::from(self.kind == Kind::Metric)
    }

    pub(crate) fn is_refused(&self, poison: &Poison) -> bool {
        if self.kind == Kind::Metric {
            poison.metric == Some(self.thing)
        } else {
            poison.member == Some(self.member)
        }
    }
}

// === impl Tables ===

impl Tables {
    /// Applies a change that is not refused.
    pub(crate) fn apply(&mut self, change: &Change) {
        if change.kind == Kind::Metric {
            self.metrics.insert(metric_key(change.thing), format!("n {}", change.name));
        }
        for (segment, kind, wish) in change.wishes() {
            let members = self.segments.entry(segment).or_default().entry(kind).or_default();
            let (included, excluded) = members.entry(member_key(change.member)).or_default();
            match wish {
                Wish::Include => (*included, *excluded) = (true, false),
                Wish::Exclude => (*included, *excluded) = (false, true),
                Wish::Uninclude => *included = false,
                Wish::Unexclude => *excluded = false,
            }
        }
    }

    /// Kind of context and member, of the included and of the excluded.
    pub(crate) fn lists(&self, segment: &str) -> [BTreeSet<(String, String)>; 2] {
        let kinds = self.segments.get(segment).into_iter().flatten();
        let all: Vec<_> = kinds
            .flat_map(|(kind, members)| members.iter().map(move |(key, on)| (*kind, key, *on)))
            .collect();
        [0, 1].map(|list| {
            let on = |on: (bool, bool)| if list == 0 { on.0 } else { on.1 };
            let listed = all.iter().filter(|(_, _, place)| on(*place));
            listed.map(|(kind, key, _)| ((*kind).to_owned(), (*key).clone())).collect()
        })
    }
}

/// The same of a segment as the sandbox shows it.
pub(crate) fn shown_lists(shown: Option<&Value>) -> [BTreeSet<(String, String)>; 2] {
    ["included", "excluded"].map(|list| {
        let kinds = shown.and_then(|shown| shown[list].as_object()).into_iter().flatten();
        let members = kinds.flat_map(|(kind, keys)| {
            let keys = keys.as_array().into_iter().flatten();
            keys.map(move |key| (kind.clone(), key.as_str().unwrap().to_owned()))
        });
        members.collect()
    })
}
