//! Makes a change of a row into changes of segment membership.
//!
//! The segment mirrors its source: a row that appears adds its subject, one that disappears removes
//! it, and one that changes may do either. When the row names another segment or another subject
//! than before, the old membership is taken back first, which needs the row as it was; where the
//! source does not tell that, a declared set of exclusive segments does. Where it tells something that
//! the route does not believe, and no such set is declared, the change is refused: the subject might
//! stay in a segment that its row has left.
//!
//! A row whose segment is optional and null is in none: what it was in is taken back.
//!
//! # Invariants
//! - Z1: of a change's operations, removals come before the addition.
//! - Z2: a deleted row never adds.

use std::sync::Arc;

use super::condition::BoundCondition;
use super::path::{FieldPath, Root};
use super::projection::{Picked, Picks, Projection};
use super::settings::{Field, FieldSource, SegmentMemberSettings};
use super::value::{Found, MapError, Source, absent, refuse, wrong};
use crate::model::batch::TargetId;
use crate::model::change::{BeforeExtent, Change, Op};
use crate::model::operation::{MemberList, Membership, Operation, SegmentChange, SegmentShape};
use crate::model::outcome::RefusalReason;

/// The compiled mapping of one route.
#[derive(Debug)]
pub(super) struct SegmentMapping {
    target: TargetId,
    shape: Arc<SegmentShape>,
    list: MemberList,
    now: Place,
    /// The same fields of the row as it was.
    before: Place,
    member: Option<BoundCondition>,
    exclusive: Vec<Arc<str>>,
}

/// Which segment and which member.
#[derive(Debug)]
struct Place {
    segment: Source,
    context_key: Source,
    /// The segment's name.
    name: Option<Source>,
}

/// A membership that a change leaves behind.
struct Former {
    segment: Arc<str>,
    member: String,
    name: Option<String>,
}

impl SegmentMapping {
    pub(super) fn compile(settings: &SegmentMemberSettings, projection: &mut Projection) -> Self {
        let (segment, context_key) = (&settings.segment, &settings.context_key);
        let name = settings.name.as_ref();
        Self {
            target: settings.target,
            shape: Arc::clone(&settings.shape),
            list: settings.list,
            now: Place {
                segment: Source::compile(&of_what_is_told(segment), projection),
                context_key: Source::compile(&of_what_is_told(context_key), projection),
                name: name.map(|name| Source::compile(name, projection)),
            },
            before: Place {
                segment: Source::compile(&of_before(segment), projection),
                context_key: Source::compile(&of_before(context_key), projection),
                name: name.map(|name| Source::compile(&of_before(name), projection)),
            },
            member: settings.member.as_ref().map(|member| member.bind(projection)),
            exclusive: settings.exclusive.iter().map(|key| Arc::from(key.as_str())).collect(),
        }
    }

    /// Appends what the change asks for.
    ///
    /// # Errors
    /// Which field cannot be mapped, and why. Nothing has been appended then.
    pub(super) fn map(
        &self,
        change: &Change<'_>,
        picks: &Picks,
        operations: &mut Vec<Operation>,
    ) -> Result<(), MapError> {
        let (segment, member) = self.now.of(change, picks)?;
        let segment = match segment {
            // What a row was that is gone has to be told; unknown is not nowhere.
            None if change.op == Op::Delete && !is_told_whole(change) => {
                return Err(absent("segment"));
            }
            segment => segment,
        };
        let name = match segment_name(self.now.name.as_ref(), change, picks) {
            // Nobody needs the name to take somebody out.
            Err(_) if change.op == Op::Delete => None,
            name => name?,
        };
        let is_member = change.op != Op::Delete
            && match &self.member {
                None => true,
                Some(condition) => condition
                    .holds(change, picks)
                    .map_err(|error| refuse("member", RefusalReason::ExpressionFailed, error))?,
            };
        let of = |segment, member, name, membership| {
            let (target, shape) = (self.target, Arc::clone(&self.shape));
            let change = SegmentChange { target, segment, shape, name, member, membership };
            Operation::Segment(change)
        };
        let out = Membership::OutOf(self.list);
        if change.op != Op::Delete {
            let left = self.left(change, picks, segment.as_ref(), &member)?;
            operations.extend(left.into_iter().map(|it| of(it.segment, it.member, it.name, out)));
        }
        let Some(segment) = segment else { return Ok(()) };
        let membership = if is_member { Membership::In(self.list) } else { out };
        operations.push(of(segment, member, name, membership));
        Ok(())
    }

    /// The memberships that the change leaves behind.
    ///
    /// # Errors
    /// They stand in fields that the route does not believe, and nothing else tells them.
    fn left(
        &self,
        change: &Change<'_>,
        picks: &Picks,
        segment: Option<&Arc<str>>,
        member: &str,
    ) -> Result<Vec<Former>, MapError> {
        if change.before.is_some() {
            match self.place_before(change, picks) {
                Ok(former) => {
                    let moved = |it: &Former| Some(&it.segment) != segment || it.member != member;
                    return Ok(former.into_iter().filter(moved).collect());
                }
                Err(error)
                    if change.before_extent == BeforeExtent::Key && self.exclusive.is_empty() =>
                {
                    return Err(error);
                }
                // A row that was no membership has none to take back.
                Err(_) => {}
            }
        }
        let others = self.exclusive.iter().filter(|other| Some(*other) != segment);
        // The row names the segment that it is in now.
        let former = |segment| Former {
            segment: Arc::clone(segment),
            member: member.to_owned(),
            name: None,
        };
        Ok(others.map(former).collect())
    }

    /// Where the row was; `None` when it was in no segment.
    fn place_before(&self, change: &Change<'_>, picks: &Picks) -> Result<Option<Former>, MapError> {
        // What an update left alone was as it is.
        let unchanged = |before: &Source| {
            change.before_extent == BeforeExtent::Changed && before.is_untold(picks)
        };
        let of = |before, now| if unchanged(before) { now } else { before };
        let Place { segment, context_key, name } = &self.before;
        let (segment, context_key) =
            (of(segment, &self.now.segment), of(context_key, &self.now.context_key));
        let (Some(segment), member) = place(segment, context_key, change, picks)? else {
            // A column that is not believed is absent as well.
            let told = change.before_extent != BeforeExtent::Key;
            return if told { Ok(None) } else { Err(absent("segment")) };
        };
        let name = name.as_ref().zip(self.now.name.as_ref()).map(|(name, now)| of(name, now));
        let name = segment_name(name, change, picks).unwrap_or_default();
        Ok(Some(Former { segment, member, name }))
    }
}

impl Place {
    fn of(
        &self,
        change: &Change<'_>,
        picks: &Picks,
    ) -> Result<(Option<Arc<str>>, String), MapError> {
        place(&self.segment, &self.context_key, change, picks)
    }
}

fn place(
    segment: &Source,
    context_key: &Source,
    change: &Change<'_>,
    picks: &Picks,
) -> Result<(Option<Arc<str>>, String), MapError> {
    let segment = name(segment, change, picks, "segment", RefusalReason::MissingField)?;
    let member = name(context_key, change, picks, "context_key", RefusalReason::EmptyContextKey)?;
    // Only the segment may be optional: a row is in none then.
    Ok((segment.map(Arc::from), member.ok_or_else(|| absent("context_key"))?))
}

/// Whether a deleted row is known by more than its key.
fn is_told_whole(change: &Change<'_>) -> bool {
    change.before.is_some() && change.before_extent == BeforeExtent::Whole
}

fn segment_name(
    source: Option<&Source>,
    change: &Change<'_>,
    picks: &Picks,
) -> Result<Option<String>, MapError> {
    source.map_or(Ok(None), |source| text(&source.find(change, picks, "name")?, "name"))
}

fn name(
    source: &Source,
    change: &Change<'_>,
    picks: &Picks,
    field: &str,
    when_empty: RefusalReason,
) -> Result<Option<String>, MapError> {
    match text(&source.find(change, picks, field)?, field)? {
        Some(text) if text.is_empty() => Err(refuse(field, when_empty, "it is empty".to_owned())),
        found => Ok(found),
    }
}

/// The text of a name: a text, or a whole number's digits.
fn text(found: &Found<'_>, field: &str) -> Result<Option<String>, MapError> {
    let picked = match found {
        Found::Nothing => return Ok(None),
        Found::Text(json) => {
            let literal = serde_json::from_slice(json);
            return literal
                .map(Some)
                .map_err(|e| refuse(field, RefusalReason::WrongType, e.to_string()));
        }
        Found::Value(picked) => *picked,
        Found::Made(json) => Picked::Json(json),
        Found::Milliseconds(ms) => Picked::Integer(*ms),
    };
    match (picked.as_text(), picked.as_number()) {
        (Some(text), _) => Ok(Some(text.into_owned())),
        (None, Some(number)) if number.parse::<i128>().is_ok() => Ok(Some(number.into_owned())),
        _ => Err(wrong(field, picked, "a text or a whole number")),
    }
}

/// The same field of the row as it was.
fn of_before(field: &Field) -> Field {
    match &field.from {
        FieldSource::Path(path) if matches!(path.root, Root::Row | Root::After) => Field {
            from: FieldSource::Path(FieldPath { root: Root::Before, steps: path.steps.clone() }),
            ..field.clone()
        },
        FieldSource::Computed(expression) => {
            let expression = expression.of_before().of_what_is_told();
            Field { from: FieldSource::Computed(expression), ..field.clone() }
        }
        FieldSource::Path(_) | FieldSource::Literal(_) => field.clone(),
    }
}

/// The same field, that does not take what is unknown of a deleted row for absent.
fn of_what_is_told(field: &Field) -> Field {
    match &field.from {
        FieldSource::Computed(expression) => {
            Field { from: FieldSource::Computed(expression.of_what_is_told()), ..field.clone() }
        }
        FieldSource::Path(_) | FieldSource::Literal(_) => field.clone(),
    }
}
