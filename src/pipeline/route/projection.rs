//! Takes just the mapped fields out of a change's raw JSON, without building a tree.
//!
//! All paths of the routes that share a topic are compiled into one projection, so a document is
//! read once however many routes and fields there are. A picked field stays text: numbers and
//! strings are copied into the request as they were written.
//!
//! # Invariants
//! - J1: a picked text is one complete JSON value of the document it was picked from.
//! - J2: of a repeated member the last one counts, as in every common JSON parser.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::path::{FieldPath, Root, Step};
use crate::model::change::Change;

/// The number of roots that are JSON documents.
const DOCUMENTS: [Root; 5] = [Root::Row, Root::Before, Root::After, Root::Key, Root::Source];

/// Where a field lands among the picks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PickId {
    root: Root,
    slot: usize,
}

/// The compiled set of paths.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    /// One tree per document root, in the order of `DOCUMENTS`.
    trees: [Tree; 5],
    /// Names of the headers asked for, by slot.
    headers: Vec<(String, usize)>,
    slots: usize,
}

/// What was found, reused from record to record.
#[derive(Debug, Clone, Default)]
pub struct Picks {
    /// By slot: where the value lies in its document, or for a header, its index.
    found: Vec<Option<Span>>,
}

/// A picked field: its JSON text, or a header's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picked<'a> {
    Json(&'a str),
    Text(&'a str),
    Integer(i64),
    /// The header is there, but is not UTF-8.
    Unreadable,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

/// The wanted members below one value.
#[derive(Debug, Clone, Default)]
struct Tree {
    slot: Option<usize>,
    members: Vec<(String, Tree)>,
    items: Vec<(usize, Tree)>,
}

// === impl Projection ===

impl Projection {
    /// Adds a path, or finds it when it is already there.
    pub fn add(&mut self, path: &FieldPath) -> PickId {
        let root = path.root;
        let next = self.slots;
        let slot = match (DOCUMENTS.iter().position(|d| *d == root), path.steps.first()) {
            (Some(document), _) => {
                self.trees.get_mut(document).map_or(next, |tree| tree.insert(&path.steps, next))
            }
            (None, Some(Step::Member(name))) if root == Root::Headers => {
                let known = self.headers.iter().find(|(known, _)| known == name);
                if let Some((_, slot)) = known {
                    *slot
                } else {
                    self.headers.push((name.clone(), next));
                    next
                }
            }
            // The record's own values are read directly, they need no slot.
            (None, _) => return PickId { root, slot: usize::MAX },
        };
        if slot == next {
            self.slots += 1;
        }
        PickId { root, slot }
    }

    /// Whether anything is picked from a document.
    pub fn reads(&self, root: Root) -> bool {
        let trees = DOCUMENTS.iter().zip(&self.trees);
        trees.into_iter().any(|(document, tree)| *document == root && !tree.is_empty())
    }

    /// Finds all fields in a change.
    ///
    /// # Errors
    /// A text for a person when a document is not the JSON that the decoder took it for.
    pub fn pick(&self, change: &Change<'_>, picks: &mut Picks) -> Result<(), String> {
        picks.found.clear();
        picks.found.resize(self.slots, None);
        let mut is_unread = change.is_unread;
        for (root, tree) in DOCUMENTS.iter().zip(&self.trees) {
            if let (false, Some(text)) = (tree.is_empty(), document(*root, change)) {
                let is_read = walk(text, text, tree, &mut picks.found);
                let is_value = matches!(root, Root::Row | Root::After);
                is_unread &= !(is_read.map_err(|e| e.to_string())? && is_value);
            }
        }
        if let (true, Some(text)) = (is_unread, change.after) {
            serde_json::from_str::<IgnoredAny>(text).map_err(|e| e.to_string())?;
        }
        let headers = change.record.headers;
        for (wanted, slot) in &self.headers {
            // Kafka allows repeated headers; the last one is the newest.
            let last = (0..headers.count())
                .rev()
                .find(|i| headers.at(*i).is_some_and(|(name, _)| name == wanted));
            if let (Some(found), Some(index)) = (picks.found.get_mut(*slot), last) {
                *found = Some(Span { start: index, end: index });
            }
        }
        Ok(())
    }
}

// === impl Picks ===

impl Picks {
    /// Whether there is such a field, even if it is null.
    pub fn has(&self, id: PickId) -> bool {
        self.found.get(id.slot).is_some_and(Option::is_some)
    }

    /// The field, or `None` when it is absent, null, or was not sent by the source.
    pub fn get<'a>(&self, id: PickId, change: &Change<'a>) -> Option<Picked<'a>> {
        let span = self.found.get(id.slot).copied().flatten();
        match id.root {
            Root::Topic => Some(Picked::Text(change.record.topic)),
            Root::Partition => Some(Picked::Integer(change.record.partition.into())),
            Root::Offset => Some(Picked::Integer(change.record.offset)),
            Root::Timestamp => change.record.timestamp_ms.map(Picked::Integer),
            Root::Op => Some(Picked::Text(change.op.as_str())),
            Root::Headers => {
                let (_, value) = change.record.headers_at(span?.start)?;
                Some(std::str::from_utf8(value?).map_or(Picked::Unreadable, Picked::Text))
            }
            Root::Row | Root::Before | Root::After | Root::Key | Root::Source => {
                let text = self.json(id, change)?;
                let is_sent =
                    !change.unavailable.is_some_and(|placeholder| placeholder.is_json(text));
                (text != "null" && is_sent).then_some(Picked::Json(text))
            }
        }
    }

    /// The JSON of a field of a document, as it is there: null and placeholders included.
    pub(super) fn json<'a>(&self, id: PickId, change: &Change<'a>) -> Option<&'a str> {
        let Span { start, end } = self.found.get(id.slot).copied().flatten()?;
        document(id.root, change)?.get(start..end)
    }
}

/// The text of a part of a change that is a JSON document.
pub(super) fn document<'a>(root: Root, change: &Change<'a>) -> Option<&'a str> {
    match root {
        Root::Row => change.row(),
        Root::Before => change.before,
        Root::After => change.after,
        Root::Key => change.key,
        Root::Source => change.source,
        Root::Headers
        | Root::Topic
        | Root::Partition
        | Root::Offset
        | Root::Timestamp
        | Root::Op => None,
    }
}

// === impl Tree ===

impl Tree {
    fn is_empty(&self) -> bool {
        self.slot.is_none() && self.members.is_empty() && self.items.is_empty()
    }

    fn is_leaf(&self) -> bool {
        self.members.is_empty() && self.items.is_empty()
    }

    /// Forgets what was found below it.
    fn forget(&self, found: &mut [Option<Span>]) {
        let below = self.members.iter().map(|(_, tree)| tree);
        for tree in below.chain(self.items.iter().map(|(_, tree)| tree)) {
            if let Some(place) = tree.slot.and_then(|slot| found.get_mut(slot)) {
                *place = None;
            }
            tree.forget(found);
        }
    }

    /// Gives the place of a path: the one it has, or `fresh`.
    fn insert(&mut self, steps: &[Step], fresh: usize) -> usize {
        let Some((first, rest)) = steps.split_first() else {
            return *self.slot.get_or_insert(fresh);
        };
        match first {
            Step::Member(name) => child(&mut self.members, name.clone()).insert(rest, fresh),
            Step::Index(index) => child(&mut self.items, *index).insert(rest, fresh),
        }
    }
}

fn child<K: PartialEq>(children: &mut Vec<(K, Tree)>, key: K) -> &mut Tree {
    let at = children.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        children.push((key, Tree::default()));
        children.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "`at` was found or pushed just above")]
    &mut children[at].1
}

/// Reads `text`, a value within `document`, and notes where the wanted values lie. Gives whether it had
/// to be read.
fn walk(
    document: &str,
    text: &str,
    tree: &Tree,
    found: &mut [Option<Span>],
) -> Result<bool, serde_json::Error> {
    let fits = match text.as_bytes().first() {
        Some(b'{') => !tree.members.is_empty(),
        Some(b'[') => !tree.items.is_empty(),
        _ => false,
    };
    if !fits {
        return Ok(false);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    Walk { document, tree, found }.deserialize(&mut json)?;
    json.end()?;
    Ok(true)
}

struct Walk<'t, 'f, 'd> {
    document: &'d str,
    tree: &'t Tree,
    found: &'f mut [Option<Span>],
}

impl Walk<'_, '_, '_> {
    fn note<E: serde::de::Error>(&mut self, tree: &Tree, raw: &str) -> Result<(), E> {
        if let Some(found) = tree.slot.and_then(|slot| self.found.get_mut(slot)) {
            // `raw` was borrowed from `document`, so its place is the distance between the two.
            let start = raw.as_ptr().addr() - self.document.as_ptr().addr();
            *found = Some(Span { start, end: start + raw.len() });
        }
        if tree.is_leaf() {
            return Ok(());
        }
        // What an earlier member of this name held does not count (J2).
        tree.forget(self.found);
        walk(self.document, raw, tree, self.found).map(|_| ()).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let tree = self.tree;
        while let Some(member) = map.next_key_seed(Wanted(tree))? {
            match member.and_then(|at| tree.members.get(at)) {
                Some((_, below)) => {
                    let raw: &RawValue = map.next_value()?;
                    self.note(below, raw.get())?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let tree = self.tree;
        let mut index = 0;
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            if let Some((_, below)) = tree.items.iter().find(|(wanted, _)| *wanted == index) {
                self.note(below, raw.get())?;
            }
            index += 1;
        }
        Ok(())
    }
}

/// Finds which wanted member a key names, without copying the key.
struct Wanted<'t>(&'t Tree);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<usize>, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Wanted<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.members.iter().position(|(wanted, _)| wanted == name))
    }
}

// === impl Picked ===

impl<'a> Picked<'a> {
    /// The text of a JSON string without its quotes, or a header's text.
    pub fn as_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Json(json) if json.as_bytes().first() == Some(&b'"') => {
                if json.as_bytes().contains(&b'\\') {
                    return serde_json::from_str(json).ok().map(Cow::Owned);
                }
                json.get(1..json.len() - 1).map(Cow::Borrowed)
            }
            Self::Json(_) | Self::Integer(_) | Self::Unreadable => None,
        }
    }

    /// The text of a JSON number.
    pub fn as_number(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Json(json) if is_number(json) => Some(Cow::Borrowed(json)),
            Self::Integer(value) => Some(Cow::Owned(value.to_string())),
            Self::Json(_) | Self::Text(_) | Self::Unreadable => None,
        }
    }

    pub fn as_boolean(self) -> Option<bool> {
        match self {
            Self::Json("true") => Some(true),
            Self::Json("false") => Some(false),
            Self::Json(_) | Self::Text(_) | Self::Integer(_) | Self::Unreadable => None,
        }
    }

    /// What it is, in words for a person; never the value itself.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Unreadable => "not UTF-8",
            Self::Json(json) => match json.as_bytes().first() {
                Some(b'"') if self.as_text().is_none() => "a text with a malformed escape",
                Some(b'"') => "a text",
                Some(b'{') => "an object",
                Some(b'[') => "an array",
                Some(b't' | b'f') => "a boolean",
                _ => "a number",
            },
        }
    }
}

fn is_number(json: &str) -> bool {
    json.as_bytes().first().is_some_and(|byte| *byte == b'-' || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{
        Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest,
    };
    use serde_json::Value;

    use super::*;
    use crate::model::change::{Op, Placeholder};
    use crate::model::record::{NoHeaders, Record};

    fn change(row: &str) -> Change<'_> {
        let record = Record {
            topic: "t",
            partition: 3,
            offset: 41,
            timestamp_ms: Some(9),
            key: None,
            value: None,
            headers: &NoHeaders,
        };
        Change { after: Some(row), ..Change::new(record, Op::Upsert) }
    }

    fn pick_all(row: &str, paths: &[&str]) -> Vec<Option<String>> {
        let mut projection = Projection::default();
        let ids: Vec<PickId> =
            paths.iter().map(|p| projection.add(&FieldPath::parse(p).unwrap())).collect();
        let change = change(row);
        let mut picks = Picks::default();
        projection.pick(&change, &mut picks).unwrap();
        ids.iter()
            .map(|id| match picks.get(*id, &change) {
                Some(Picked::Json(json)) => Some(json.to_owned()),
                Some(Picked::Text(text)) => Some(format!("text {text}")),
                Some(Picked::Integer(i)) => Some(format!("int {i}")),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn what_was_not_read_before_is_read_to_its_end_whatever_is_picked() {
        for row in [r#"{"a":1"#, r#"{"a":1} 2"#, r#"{"a":1,}"#, r#"{"a":1,"b":tru}"#] {
            for path in ["$.row.a", "$.after.a", "$.row.a.b", "$.row[0]", "$.key.a", "$.topic"] {
                let mut projection = Projection::default();
                projection.add(&FieldPath::parse(path).unwrap());
                let mut change = Change { key: Some("{}"), ..change(row) };
                change.is_unread = true;
                assert!(projection.pick(&change, &mut Picks::default()).is_err(), "{path} {row}");
                change.after = Some(r#"{"a":1}"#);
                assert!(projection.pick(&change, &mut Picks::default()).is_ok(), "{path}");
            }
        }
    }

    #[test]
    fn picks_nested_shared_and_repeated_members() {
        let row = r#"{"a":1,"b":{"c":"x","d":[10,{"e":true}]},"a":2,"n":null,"k\u0065y":"y",
            "r":{"x":1},"r":{}}"#;
        let found = pick_all(
            row,
            &[
                "$.row.a",
                "$.row.b.c",
                "$.row.b.d[1].e",
                "$.row.b",
                "$.row.n",
                "$.row.zz",
                "$.row.key",
                "$.row.a.deeper",
                "$.row.b.d[7]",
                "$.row.a",
                "$.offset",
                "$.op",
                "$.before.a",
                "$.row.r.x",
            ],
        );
        let expected = [
            Some("2"),
            Some("\"x\""),
            Some("true"),
            Some(r#"{"c":"x","d":[10,{"e":true}]}"#),
            None,
            None,
            Some("\"y\""),
            None,
            None,
            Some("2"),
            Some("int 41"),
            Some("text upsert"),
            None,
            None,
        ];
        assert_eq!(found, expected.map(|e| e.map(str::to_owned)));
    }

    #[test]
    fn what_the_source_did_not_send_is_absent() {
        let placeholder = Placeholder { text: "-no", base64: "LW5v", codes: "[45,110,111]" };
        let row =
            r#"{"t":"-no","b":"LW5v","a":["-no"],"c":[45,110,111],"o":"-no!","n":{"t":"-no"}}"#;
        let mut projection = Projection::default();
        let ids =
            ["$.row.t", "$.row.b", "$.row.a", "$.row.a[0]", "$.row.c", "$.row.n.t", "$.row.o"]
                .map(|path| projection.add(&FieldPath::parse(path).unwrap()));
        let plain = change(row);
        let mut picks = Picks::default();
        projection.pick(&plain, &mut picks).unwrap();
        assert!(ids.iter().all(|id| picks.get(*id, &plain).is_some()), "in formats without one");
        let change = Change { unavailable: Some(&placeholder), ..plain };
        let found = ids.map(|id| picks.get(id, &change));
        assert_eq!(found[..6], [None; 6]);
        assert_eq!(found[6], Some(Picked::Json("\"-no!\"")));
    }

    #[test]
    fn the_last_of_repeated_headers_counts() {
        let headers = vec![
            ("trace".to_owned(), Some(b"old".to_vec())),
            ("other".to_owned(), None),
            ("trace".to_owned(), Some(b"new".to_vec())),
        ];
        let mut change = change("{}");
        change.record.headers = &headers;
        let mut projection = Projection::default();
        let trace = projection.add(&FieldPath::parse("$.headers.trace").unwrap());
        let other = projection.add(&FieldPath::parse("$.headers.other").unwrap());
        let mut picks = Picks::default();
        projection.pick(&change, &mut picks).unwrap();
        assert_eq!(picks.get(trace, &change), Some(Picked::Text("new")));
        assert_eq!(picks.get(other, &change), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[abc\"\\\\é]{1,2}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// J1, against the naive model: parse the tree, then look the path up.
        #[test]
        fn picks_what_a_tree_would_hold(
            row in prop::collection::hash_map("[abc]", json(), 0..4),
            steps in prop::collection::vec(prop::collection::vec(
                prop_oneof![
                    "[abc]{1,2}".prop_map(Step::Member),
                    (0..3_usize).prop_map(Step::Index),
                ], 0..3), 1..6),
        ) {
            let row = Value::Object(row.into_iter().collect());
            let text = row.to_string();
            let paths: Vec<FieldPath> = steps
                .into_iter()
                .map(|mut steps| {
                    steps.insert(0, Step::Member("a".to_owned()));
                    FieldPath { root: Root::Row, steps }
                })
                .collect();
            let mut projection = Projection::default();
            let ids: Vec<PickId> = paths.iter().map(|p| projection.add(p)).collect();
            let change = change(&text);
            let mut picks = Picks::default();
            projection.pick(&change, &mut picks).unwrap();
            for (path, id) in paths.iter().zip(ids) {
                let naive = path.steps.iter().try_fold(&row, |value, step| match step {
                    Step::Member(name) => value.get(name),
                    Step::Index(index) => value.get(index),
                });
                let naive = naive.filter(|v| !v.is_null()).cloned();
                let picked = picks.get(id, &change).map(|p| match p {
                    Picked::Json(json) => serde_json::from_str::<Value>(json).unwrap(),
                    Picked::Text(_) | Picked::Integer(_) | Picked::Unreadable => Value::Null,
                });
                prop_assert_eq!(picked, naive, "{}", path);
            }
        }
    }
}
