//! The metrics that exist, with their kinds and labels.

use std::collections::{BTreeMap, BTreeSet};

use ldsink::telemetry::metrics::{DECLARATIONS, Declaration, Kind, Metrics};

/// All metrics of ldsink, by their full names.
pub(crate) fn declared() -> BTreeMap<&'static str, &'static Declaration> {
    DECLARATIONS.iter().map(|declaration| (declaration.name, declaration)).collect()
}

/// What the process collector adds.
pub(crate) fn of_the_process() -> BTreeSet<String> {
    rendered().into_keys().filter(|name| name.starts_with("process_")).collect()
}

/// The metrics that show without having been moved, with their kinds.
fn rendered() -> BTreeMap<String, String> {
    let text = String::from_utf8(Metrics::new().unwrap().render().unwrap()).unwrap();
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn what_is_declared_is_what_is_rendered() {
    let (declared, rendered) = (declared(), rendered());
    assert_eq!(declared.len(), DECLARATIONS.len(), "two of one name");
    let ours: Vec<_> = rendered.iter().filter(|(name, _)| name.starts_with("ldsink_")).collect();
    assert!(ours.len() > 15, "{ours:?}");
    for (name, kind) in ours {
        assert_eq!(declared[name.as_str()].kind.as_str(), kind, "{name}");
    }
    for declaration in DECLARATIONS {
        let Declaration { name, kind, labels, unit, help, buckets } = declaration;
        // A metric without labels shows from the start.
        assert!(!labels.is_empty() || rendered.contains_key(*name), "{name}");
        assert_eq!(*kind == Kind::Histogram, !buckets.is_empty(), "{name}");
        assert!(buckets.is_sorted(), "{name}");
        assert!(!unit.is_empty() && help.ends_with('.'), "{name}: {help}");
    }
}
