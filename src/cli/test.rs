//! `ldsink test`: mapping tests, kept beside the configuration.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, print, say};
use crate::config::cases;
use crate::preview::cases::{Case, Failure, run};
use crate::preview::explain::Explainer;

/// Check what records become against what is expected of them. Sends nothing.
///
/// The file lists cases: a record, and the operations, filters and refusals that it leads to.
/// Exit code 0 when all pass, 1 when one fails, 2 when a file is mistaken.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The tests, in YAML or JSON.
    #[arg(value_name = "FILE", default_value = "ldsink.test.yaml")]
    file: PathBuf,
    /// The configuration file; for `name.test.yaml`, `name.yaml` beside it.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn test(args: &TestArgs) -> Exit {
    let config = args.config.clone().unwrap_or_else(|| beside(&args.file));
    let Some(config) = super::mapping(&config) else { return Exit::Usage };
    let text = match std::fs::read_to_string(&args.file) {
        Ok(text) => text,
        Err(error) => {
            say(&format!("cannot read the tests in {}: {error}", args.file.display()));
            return Exit::Usage;
        }
    };
    let cases = match cases::read(&text, &args.file.to_string_lossy(), &config) {
        Ok(cases) => cases,
        Err(mistakes) => {
            say(&mistakes.to_string());
            return Exit::Usage;
        }
    };
    let Some(explainer) = super::explainer(&config) else { return Exit::Usage };
    let failed = cases.iter().filter(|case| !passes(case, &explainer)).count();
    print(&format!("{} passed, {failed} failed", cases.len() - failed));
    if failed == 0 { Exit::Success } else { Exit::Failure }
}

/// Runs a case and tells how it went.
fn passes(case: &Case, explainer: &Explainer) -> bool {
    match run(case, explainer) {
        Ok(()) => {
            print(&format!("ok    {}", case.name));
            true
        }
        Err(Failure { diff, refusal }) => {
            print(&format!("FAIL  {} ({})", case.name, case.place));
            if let Some(refusal) = refusal {
                print(&format!("      the record is refused: {refusal}"));
            }
            print("      - expected  + what it becomes");
            diff.lines().for_each(|line| print(&format!("      {line}")));
            false
        }
    }
}

/// The configuration that a file of tests is for.
fn beside(tests: &Path) -> PathBuf {
    let name = tests.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let stem = name.split_once(".test.").map_or("ldsink", |(stem, _)| stem);
    tests.with_file_name(format!("{stem}.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_beside_its_tests() {
        for (tests, config) in [
            ("ldsink.test.yaml", "ldsink.yaml"),
            ("config/shop.test.json", "config/shop.yaml"),
            ("config/cases.yaml", "config/ldsink.yaml"),
        ] {
            assert_eq!(beside(Path::new(tests)), Path::new(config), "{tests}");
        }
    }
}
