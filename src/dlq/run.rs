//! Goes through the letters of a topic: to show them, or to replay them.
//!
//! Blocks; to be run on a thread of the runtime that may.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::letter::Letter;
use super::marks::{Foreign, TooScattered};
use super::replay::{Order, Replays, Verdict};
use super::select::Place;
use crate::kafka::replay::{Mark, Replay, ReplayError, group, progress};
use crate::kafka::scan::{self, Extent};
use crate::kafka::settings::KafkaSettings;
use crate::kafka::tail::TailError;
use crate::model::record::{OwnedRecord, Partition};

/// Letters in one transaction, and about how many bytes: each is written as a whole or not at all.
const MOST_LETTERS: usize = 100;
const MOST_BYTES: usize = 4_000_000;

/// Where the letters are.
#[derive(Debug, Clone, Copy)]
pub struct Letters<'a> {
    pub settings: &'a KafkaSettings,
    pub topic: &'a str,
}

/// How a replay goes about it.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Records in a second.
    pub rate: u32,
    /// Say what would be replayed, and write nothing.
    pub dry_run: bool,
    pub stop: CancellationToken,
}

/// What a replay tells while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    /// Kafka has acknowledged it, or would have been asked to: its place unless it is a dry run.
    Sent {
        letter: &'a Letter,
        to: &'a Partition,
        offset: Option<i64>,
    },
    Left {
        letter: &'a Letter,
        why: &'a str,
    },
}

/// How many letters went which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub sent: u64,
    /// Replayed before.
    pub before: u64,
    pub left: u64,
    /// Ended before all were looked at.
    pub stopped: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Read(#[from] TailError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("group `{group}`, {partition}")]
    Foreign { group: String, partition: Partition, source: Foreign },
    #[error(transparent)]
    TooScattered(#[from] TooScattered),
}

/// Letters on their way into one transaction.
#[derive(Default)]
struct Lot {
    letters: Vec<Letter>,
    records: Vec<OwnedRecord>,
    bytes: usize,
}

/// A replay on its way.
struct Course<'a> {
    of: Letters<'a>,
    pace: &'a Pace,
    /// `None` in a dry run.
    replay: Option<Replay>,
    replays: Replays,
    lot: Lot,
    summary: Summary,
    told: &'a mut dyn FnMut(Told<'_>),
}

/// Shows every letter, and whether it was replayed; `places` limits what is read of the topic.
pub fn look(
    of: Letters<'_>,
    places: &[Place],
    each: &mut dyn FnMut(&Letter, bool),
) -> Result<(), RunError> {
    let extents = scan::extents(of.settings, of.topic)?;
    let partitions: Vec<Partition> = extents.iter().map(|it| it.partition.clone()).collect();
    let known = progress(of.settings, &partitions)?;
    let nothing = Order {
        selection: super::select::Selection::default(),
        ceiling: 0,
        to_route: None,
        again: false,
        routes: Vec::new(),
    };
    let mut replays = resume(Replays::new(nothing), of, &extents, &known)?;
    scan::read(of.settings, &within(extents, places), |record| {
        if let Ok(letter) = Letter::of(record) {
            replays.note(&letter);
            each(&letter, replays.has(&letter));
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// Replays what the order asks for.
pub fn replay(
    of: Letters<'_>,
    order: Order,
    pace: &Pace,
    told: &mut dyn FnMut(Told<'_>),
) -> Result<Summary, RunError> {
    let extents = scan::extents(of.settings, of.topic)?;
    let partitions: Vec<Partition> = extents.iter().map(|it| it.partition.clone()).collect();
    let (replay, known) = if pace.dry_run {
        (None, progress(of.settings, &partitions)?)
    } else {
        let (replay, known) = Replay::begin(of.settings, &partitions)?;
        (Some(replay), known)
    };
    let replays = resume(Replays::new(order), of, &extents, &known)?;
    let (lot, summary) = (Lot::default(), Summary::default());
    let mut course = Course { of, pace, replay, replays, lot, summary, told };
    let mut ended = Ok(());
    scan::read(of.settings, &extents, |record| {
        ended = course.take(record);
        if ended.is_err() || course.summary.stopped {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    ended?;
    if !course.summary.stopped {
        course.write()?;
    }
    Ok(course.summary)
}

fn resume(
    mut replays: Replays,
    of: Letters<'_>,
    extents: &[Extent],
    known: &[Mark],
) -> Result<Replays, RunError> {
    for Extent { partition, low, high } in extents {
        let mark = known.iter().find(|mark| mark.partition == *partition);
        // Marks beyond the end are of a topic that was made anew.
        let mark = mark.filter(|mark| mark.next <= *high);
        let mark = mark.map(|mark| (mark.next, mark.text.as_str()));
        replays.resume(partition.number, *low, mark).map_err(|source| RunError::Foreign {
            group: group(of.settings),
            partition: partition.clone(),
            source,
        })?;
    }
    Ok(replays)
}

/// The part of the extents that holds these places.
fn within(extents: Vec<Extent>, places: &[Place]) -> Vec<Extent> {
    if places.is_empty() {
        return extents;
    }
    let of = |place: &Place| {
        let extent = extents.iter().find(|it| it.partition.number == place.partition)?;
        let low = place.offset.max(extent.low);
        let high = place.offset.saturating_add(1).min(extent.high);
        Some(Extent { partition: extent.partition.clone(), low, high })
    };
    places.iter().filter_map(of).collect()
}

impl Course<'_> {
    fn take(&mut self, record: OwnedRecord) -> Result<(), RunError> {
        // What others have written into the topic is none of ours.
        let Ok(letter) = Letter::of(record) else { return Ok(()) };
        match self.replays.judge(&letter) {
            Verdict::Passed => {}
            Verdict::Replayed => self.summary.before += 1,
            Verdict::Left(why) => {
                self.summary.left += 1;
                (self.told)(Told::Left { letter: &letter, why: &why });
            }
            Verdict::Send(record) => {
                self.lot.bytes += record.size();
                self.lot.letters.push(letter);
                self.lot.records.push(*record);
                let rate = usize::try_from(self.pace.rate).unwrap_or(usize::MAX).max(1);
                if self.lot.letters.len() >= rate.min(MOST_LETTERS) || self.lot.bytes > MOST_BYTES {
                    self.write()?;
                }
            }
        }
        Ok(())
    }

    /// Writes what has been gathered, and keeps to the rate.
    fn write(&mut self) -> Result<(), RunError> {
        let Lot { letters, records, .. } = std::mem::take(&mut self.lot);
        if letters.is_empty() || self.pace.stop.is_cancelled() {
            self.summary.stopped |= self.pace.stop.is_cancelled();
            return Ok(());
        }
        let began = Instant::now();
        self.replays.mark(&letters)?;
        let offsets = match &self.replay {
            None => vec![None; records.len()],
            Some(replay) => {
                let marks = self.replays.marks().map(|(number, next, text)| Mark {
                    partition: Partition::new(self.of.topic, number),
                    next,
                    text,
                });
                let written = replay.write(&records, &marks.collect::<Vec<_>>())?;
                written.into_iter().map(Some).collect()
            }
        };
        for ((letter, record), offset) in letters.iter().zip(&records).zip(offsets) {
            self.summary.sent += 1;
            (self.told)(Told::Sent { letter, to: &record.partition, offset });
        }
        if self.replay.is_some() {
            let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
            let due = Duration::from_secs(1) * count / self.pace.rate.max(1);
            let pause = due.saturating_sub(began.elapsed());
            let stop = self.pace.stop.clone();
            Handle::current().block_on(async move {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
            });
            self.summary.stopped = self.pace.stop.is_cancelled();
        }
        Ok(())
    }
}
