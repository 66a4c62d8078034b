//! Reads the repository's files; YAML as `serde_json::Value` whose scalars are all text.

use std::fs;
use std::path::{Path, PathBuf};

use marked_yaml::{Node, parse_yaml};
use serde_json::Value;

/// A path from the top of the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

pub(crate) fn text(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

pub(crate) fn yaml(relative: &str) -> Value {
    let root = parse_yaml(0, text(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"));
    value(&root)
}

/// The elements of a list, as text. Nothing for what is no list.
pub(crate) fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn value(node: &Node) -> Value {
    match node {
        Node::Scalar(scalar) => Value::String(scalar.as_str().to_owned()),
        Node::Sequence(items) => items.iter().map(value).collect(),
        Node::Mapping(entries) => {
            let entries = entries.iter().map(|(key, node)| (key.as_str().to_owned(), value(node)));
            Value::Object(entries.collect())
        }
    }
}
