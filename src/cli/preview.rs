//! `ldsink preview`: what records would become.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, print, say};
use crate::config::Config;
use crate::kafka::tail::{self, Tail};
use crate::model::record::OwnedRecord;
use crate::preview::explain::Explainer;
use crate::preview::input;
use crate::preview::show::{self, Bodies, Tally};
use crate::runtime::shutdown::Shutdown;
use crate::telemetry::clock;
use crate::telemetry::logging::{self, Chain};
use crate::telemetry::settings::{LogFormat, LogSettings};

/// Show what records would become: each route's outcome, and the exact requests. Sends nothing.
///
/// Records are read from a file or stdin, one JSON object in a line: {"topic": .., "value": ..} and
/// optionally partition, offset, key, headers and timestamp (now, if absent). Key and value are texts,
/// JSON, or null. With --topic a line is a bare value of that topic; with --from-topic they are the
/// newest ones in Kafka, read without joining the group. Each request is shown as if its record came
/// alone. Environment variables that the configuration uses need not be set; tokens are never shown.
#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    /// The records; `-` or nothing reads them from stdin.
    #[arg(value_name = "RECORDS", conflicts_with = "from_topic")]
    records: Option<PathBuf>,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "ldsink.yaml")]
    config: PathBuf,
    /// Take every line for a bare value of this topic.
    #[arg(long, value_name = "TOPIC", conflicts_with = "from_topic")]
    topic: Option<String>,
    /// Read the newest records of this topic from Kafka.
    #[arg(long, value_name = "TOPIC")]
    from_topic: Option<String>,
    /// Only this partition of it.
    #[arg(long, value_name = "NUMBER", requires = "from_topic")]
    partition: Option<i32>,
    /// How many records of each partition.
    #[arg(long, value_name = "N", default_value_t = 10, requires = "from_topic")]
    last: usize,
    /// Lay bodies out over lines, instead of showing the exact bytes.
    #[arg(long, conflicts_with = "json")]
    pretty: bool,
    /// Print a JSON object for each record.
    #[arg(long)]
    json: bool,
}

/// Explains one record after the other.
struct Preview {
    explainer: Explainer,
    bodies: Bodies,
    json: bool,
    tally: Tally,
}

pub(super) async fn preview(args: PreviewArgs, shutdown: Shutdown) -> Exit {
    logging::start(&LogSettings { filter: "error".to_owned(), format: LogFormat::Text });
    // Reading blocks: a terminal, a pipe, or Kafka's client.
    let work = tokio::task::spawn_blocking(move || show_all(&args));
    tokio::select! {
        ended = work => ended.unwrap_or(Exit::Failure),
        () = shutdown.requested.cancelled() => Exit::Failure,
    }
}

fn show_all(args: &PreviewArgs) -> Exit {
    let Some((config, mut preview)) = open(args) else { return Exit::Usage };
    let exit = if let Some(topic) = &args.from_topic {
        let tail = Tail { topic: topic.clone(), partition: args.partition, last: args.last };
        match tail::read(&config.kafka, &tail) {
            Ok(records) => {
                for record in &records {
                    preview.show(record);
                }
                Exit::Success
            }
            Err(error) => {
                say(&Chain(&error).to_string());
                return Exit::Startup;
            }
        }
    } else {
        preview.show_lines(args.records.as_deref(), args.topic.as_deref())
    };
    if !args.json {
        print(&preview.tally.text());
    }
    exit
}

fn open(args: &PreviewArgs) -> Option<(Config, Preview)> {
    let config = super::mapping(&args.config)?;
    let preview = Preview {
        explainer: super::explainer(&config)?,
        bodies: if args.pretty { Bodies::Pretty } else { Bodies::Exact },
        json: args.json,
        tally: Tally::default(),
    };
    Some((config, preview))
}

impl Preview {
    fn show(&mut self, record: &OwnedRecord) {
        let explanation = self.explainer.explain(record);
        self.tally.count(&explanation.fate);
        if self.json {
            print(&show::json(record, &explanation, &self.explainer));
        } else {
            let text = show::text(record, &explanation, &self.explainer, self.bodies);
            print(&format!("{text}\n"));
        }
    }

    /// Shows the records of a text; a line that is none is told, and the others go on.
    fn show_lines(&mut self, file: Option<&Path>, topic: Option<&str>) -> Exit {
        let file = file.filter(|file| *file != Path::new("-"));
        let name = file.map_or("stdin".into(), Path::to_string_lossy);
        let reader: Box<dyn BufRead> = match file.map(File::open) {
            None => Box::new(stdin().lock()),
            Some(Ok(file)) => Box::new(BufReader::new(file)),
            Some(Err(error)) => {
                say(&format!("cannot read the records in {name}: {error}"));
                return Exit::Usage;
            }
        };
        let mut exit = Exit::Success;
        let mut number = 0;
        for (index, line) in reader.lines().enumerate() {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    say(&format!("{name}:{}: cannot be read: {error}", index + 1));
                    return Exit::Usage;
                }
            };
            if line.trim().is_empty() {
                continue;
            }
            let record = match topic {
                Some(topic) => Ok(input::bare(topic, line.trim(), number)),
                None => input::record(&line, number),
            };
            number += 1;
            match record {
                Ok(mut record) => {
                    // Kafka gives every record a time; this one would have been written now.
                    record.timestamp_ms.get_or_insert_with(clock::now_ms);
                    self.show(&record);
                }
                Err(error) => {
                    say(&format!("{name}:{}: {error}", index + 1));
                    exit = Exit::Usage;
                }
            }
        }
        exit
    }
}
