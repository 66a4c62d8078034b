//! What the pure stages make of records together: from a configuration and bytes to operations.

mod before;
mod bodies;
mod names;
mod nowhere;

use serde_json::Value;

use crate::config::Config;
use crate::preview::explain::{Explainer, Explanation, Fate};
use crate::preview::{input, words};

fn explainer(config: &str) -> Explainer {
    let config = Config::parse(config, "t.yaml", &|_| None).unwrap_or_else(|it| panic!("{it}"));
    Explainer::try_new(&config.pipeline, &config.targets).unwrap()
}

fn explain(explainer: &Explainer, record: &Value) -> Explanation {
    explainer.explain(&input::record(&record.to_string(), 0).unwrap())
}

/// The end of a record in short: what its routes made of it, or its refusal.
fn told(explanation: &Explanation) -> Vec<String> {
    if let Fate::Refused(refusal) = &explanation.fate {
        return vec![format!("{}: {}", refusal.reason.as_str(), refusal.detail)];
    }
    let said = explanation.routes.iter().flat_map(|outcome| words::of_made(&outcome.made));
    said.map(|said| format!("{} {}", said.word, said.content)).collect()
}
