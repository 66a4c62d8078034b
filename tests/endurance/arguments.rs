//! What a run is told: its own options, and those of cargo's test harness that reach every target.

use std::time::Duration;

/// What there is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Bounce,
    Soak,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) forms: Vec<Form>,
    /// In the bounce, over all ways to share a group.
    pub(crate) kills: Option<usize>,
    /// In the bounce, the ways to share a group whose names contain this.
    pub(crate) way: String,
    pub(crate) soak: Option<Duration>,
    pub(crate) seed: u64,
    pub(crate) list: bool,
}

/// Options of the test harness with a value of their own; they mean nothing here.
const HARNESS_VALUES: &[&str] = &["--test-threads", "--skip", "--format", "--color", "--logfile"];

// === impl Form ===

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Bounce, Self::Soak];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Soak => "soak",
        }
    }
}

// === impl Arguments ===

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut filters = Vec::new();
        let mut arguments = Self {
            forms: Vec::new(),
            kills: None,
            way: String::new(),
            soak: None,
            seed: u64::from(rand::random::<u32>()),
            list: false,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--kills" => arguments.kills = Some(number(&value()?)?),
                "--way" => arguments.way = value()?,
                "--seed" => arguments.seed = number(&value()?)?,
                "--minutes" => {
                    let minutes: f64 = number(&value()?)?;
                    arguments.soak = Some(Duration::from_secs_f64(minutes * 60.0));
                }
                "--list" => arguments.list = true,
                name if HARNESS_VALUES.contains(&name) => drop(value()?),
                flag if flag.starts_with('-') => {}
                filter => filters.push(filter.to_owned()),
            }
        }
        // As with any test target, names choose what runs.
        let chosen = |form: &Form| {
            filters.is_empty() || filters.iter().any(|filter| form.name().contains(filter.as_str()))
        };
        arguments.forms = Form::ALL.into_iter().filter(chosen).collect();
        Ok(arguments)
    }
}

fn number<N>(text: &str) -> Result<N, String>
where
    N: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error| format!("{text}: {error}"))
}
