//! Metrics as the status page wants them: read back from the text that Prometheus gets, so that both
//! show the same.

use std::collections::BTreeMap;

use serde::Serialize;

/// One series and its value now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// All series but the buckets of histograms.
pub(super) fn read(text: &str) -> Vec<Series> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(series).collect()
}

fn series(line: &str) -> Option<Series> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)),
        None => (series, BTreeMap::new()),
    };
    let value: f64 = value.parse().ok()?;
    if name.ends_with("_bucket") || !value.is_finite() {
        return None;
    }
    Some(Series { name: name.to_owned(), labels, value })
}

/// `a="1",b="x \"y\""`
fn labels(text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let (mut value, mut chars) = (String::new(), after.chars());
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(escaped) => value.push(escaped),
                    None => break,
                },
                c => value.push(c),
            }
        }
        all.insert(name.trim_start_matches(',').to_owned(), value);
        rest = chars.as_str();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_labels_come_back() {
        let text = "# HELP a b\n# TYPE a counter\na 3\nb{x=\"1\",y=\"q \\\"z\\\" \\\\ \\n,}\"} 0.5\n\
                    c_bucket{le=\"1\"} 4\nd NaN\n";
        let found = read(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].name.as_str(), found[0].value), ("a", 3.0));
        assert_eq!(found[1].labels["x"], "1");
        assert_eq!(found[1].labels["y"], "q \"z\" \\ \n,}");
    }
}
