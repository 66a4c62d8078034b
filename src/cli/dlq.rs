//! `ldsink dlq`: dead letters, listed, shown and replayed.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::{Exit, print, say};
use crate::config::Config;
use crate::dlq::replay::Order;
use crate::dlq::run::{self, Letters, Pace, RunError, Summary, Told};
use crate::dlq::select::{Place, Selection};
use crate::dlq::show::{self, Contents, Tally};
use crate::kafka::replay::ReplayError;
use crate::model::outcome::RefusalReason;
use crate::runtime::shutdown::Shutdown;
use crate::telemetry::clock;
use crate::telemetry::logging::{self, Chain};
use crate::telemetry::settings::{LogFormat, LogSettings};

/// Look at the dead letters of a configuration, and replay their records.
#[derive(Debug, Args)]
pub(super) struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "ldsink.yaml", global = true)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    List(ListArgs),
    Show(ShowArgs),
    Replay(ReplayArgs),
}

/// List dead letters, oldest first. Keys and values are not shown.
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Only those that were not replayed yet.
    #[arg(long)]
    open: bool,
    /// Print a JSON object for each letter.
    #[arg(long)]
    json: bool,
}

/// Show one dead letter with everything it says.
#[derive(Debug, Args)]
struct ShowArgs {
    /// Its partition and offset, as `list` shows them.
    #[arg(value_name = "PARTITION@OFFSET")]
    letter: Place,
    /// Show the record's key and value, too. They may be personal data.
    #[arg(long)]
    value: bool,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// Write the records of dead letters back to the topics and partitions they came from.
///
/// Each is the original, with headers that say how often it was replayed and which routes it is still
/// for, so that what has been counted is not counted again. A letter is replayed once: what was
/// replayed is kept in Kafka, as the offsets of the group `<group_id>.dlq-replay`, and is written in
/// the same transaction as the records. Replay after you have mended what refused them.
#[derive(Debug, Args)]
struct ReplayArgs {
    /// Letters by partition and offset, as `list` shows them.
    #[arg(value_name = "PARTITION@OFFSET")]
    letters: Vec<Place>,
    #[command(flatten)]
    select: SelectArgs,
    /// Replay every letter there is.
    #[arg(long)]
    all: bool,
    /// Say what would be replayed, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// The most records in a second.
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Leave records that were replayed this often already.
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_replays: u32,
    /// Replay letters once more that were replayed before. What was accepted then counts again.
    #[arg(long)]
    again: bool,
    /// Replay for this route what was refused by one that its topic has no longer.
    #[arg(long, value_name = "NAME")]
    to_route: Option<String>,
}

#[derive(Debug, Args)]
struct SelectArgs {
    /// Only those with this reason. May be repeated, as the others.
    #[arg(long, value_name = "REASON",
          value_parser = PossibleValuesParser::new(RefusalReason::ALL.map(RefusalReason::as_str)),
          hide_possible_values = true)]
    reason: Vec<String>,
    /// Only those that this route refused.
    #[arg(long, value_name = "NAME")]
    route: Vec<String>,
    /// Only those whose records came from this topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Only those refused since: 2h (ago), or 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<i64>,
    /// Only those refused before: 2h (ago), or 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
}

pub(super) async fn dlq(args: DlqArgs, shutdown: Shutdown) -> Exit {
    logging::start(&LogSettings { filter: "error".to_owned(), format: LogFormat::Text });
    let Some(config) = super::mapping(&args.config) else { return Exit::Usage };
    let stop = shutdown.requested.clone();
    let replays = matches!(args.command, DlqCommand::Replay(_));
    let work = tokio::task::spawn_blocking(move || {
        let of = Letters { settings: &config.kafka, topic: &config.pipeline.dead_letter.topic };
        match args.command {
            DlqCommand::List(args) => list(of, args),
            DlqCommand::Show(args) => show(of, &args),
            DlqCommand::Replay(args) => {
                let pace = Pace { rate: args.rate, dry_run: args.dry_run, stop };
                replay(of, args, &config, &pace)
            }
        }
    });
    tokio::select! {
        // A replay ends by itself, between two transactions.
        () = shutdown.requested.cancelled(), if !replays => Exit::Failure,
        () = shutdown.immediate.cancelled() => Exit::Failure,
        ended = work => ended.unwrap_or(Exit::Failure),
    }
}

fn list(of: Letters<'_>, args: ListArgs) -> Exit {
    let selection = args.select.into_selection(Vec::new());
    let mut tally = Tally::default();
    let mut has_head = args.json;
    let looked = run::look(of, &[], &mut |letter, is_replayed| {
        if !selection.means(letter) || (args.open && is_replayed) {
            return;
        }
        tally.count(letter, is_replayed);
        if !std::mem::replace(&mut has_head, true) {
            print(&show::head());
        }
        print(&if args.json {
            show::json(letter, is_replayed, Contents::Hidden)
        } else {
            show::line(letter, is_replayed)
        });
    });
    if let Err(error) = looked {
        return failure(&error);
    }
    if !args.json {
        print(&tally.text());
    }
    Exit::Success
}

fn show(of: Letters<'_>, args: &ShowArgs) -> Exit {
    let contents = if args.value { Contents::Shown } else { Contents::Hidden };
    let mut found = false;
    let looked = run::look(of, &[args.letter], &mut |letter, is_replayed| {
        found = true;
        print(&if args.json {
            show::json(letter, is_replayed, contents)
        } else {
            show::text(letter, is_replayed, contents)
        });
    });
    if let Err(error) = looked {
        return failure(&error);
    }
    if !found {
        say(&format!("there is no dead letter {} in {}", args.letter, of.topic));
        return Exit::Failure;
    }
    Exit::Success
}

fn replay(of: Letters<'_>, args: ReplayArgs, config: &Config, pace: &Pace) -> Exit {
    let selection = args.select.into_selection(args.letters);
    if selection.is_all() && !args.all {
        say("say which letters: by filters, by places, or --all; --dry-run shows which they are");
        return Exit::Usage;
    }
    let routes = config.pipeline.routes.iter();
    let routes = routes.map(|route| (route.name.clone(), route.topics.clone())).collect();
    let (ceiling, to_route, again) = (args.max_replays, args.to_route, args.again);
    let order = Order { selection, ceiling, to_route, again, routes };
    let mut left = false;
    let replayed = run::replay(of, order, pace, &mut |told| match told {
        Told::Sent { letter, to, offset } => {
            let from = show::place(letter);
            print(&match offset {
                Some(offset) => format!("{from} -> {to}@{offset}"),
                None => format!("{from} would go to {to}"),
            });
        }
        Told::Left { letter, why } => {
            left = true;
            say(&format!("{} is left: {why}", show::place(letter)));
        }
    });
    match replayed {
        Ok(summary) => {
            print(&in_words(summary, pace.dry_run));
            if left || summary.stopped { Exit::Failure } else { Exit::Success }
        }
        Err(error) => failure(&error),
    }
}

fn in_words(summary: Summary, dry_run: bool) -> String {
    let Summary { sent, before, left, stopped } = summary;
    let verb = if dry_run { "would be replayed" } else { "replayed" };
    let end = if stopped { "; stopped before the end" } else { "" };
    format!("{sent} {verb}, {before} replayed before, {left} left{end}")
}

fn failure(error: &RunError) -> Exit {
    say(&Chain(error).to_string());
    match error {
        RunError::Read(_) | RunError::Replay(ReplayError::Begin { .. }) => Exit::Startup,
        RunError::Replay(_) | RunError::Foreign { .. } | RunError::TooScattered(_) => Exit::Failure,
    }
}

impl SelectArgs {
    fn into_selection(self, places: Vec<Place>) -> Selection {
        Selection {
            reasons: self.reason,
            routes: self.route,
            topics: self.topic,
            since_ms: self.since,
            until_ms: self.until,
            places,
        }
    }
}

/// A point in time, or how long it is ago, in milliseconds since the Unix epoch.
fn time(text: &str) -> Result<i64, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        return Ok(clock::now_ms().saturating_sub(ago));
    }
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(jiff::Timestamp::as_millisecond)
        .map_err(|error| format!("{error}; write it like 2h (ago), or 2026-01-31T08:00:00Z"))
}
