//! Expressions over a change: conditions, and values that a mapping computes.
//!
//! An expression is compiled and checked at start. For a record, only the fields that it names are
//! turned into values; a route without expressions never comes here.
//!
//! Not here: where expressions are used (`condition`, `value`).

mod arithmetic;
mod blame;
mod check;
mod json;
mod kinds;
mod language;
mod order;
mod probe;
mod reads;
mod scope;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use cel::{ExecutionError, IdedExpr, Program, Value};
use serde_json::Value as Json;

pub use self::kinds::Kinds;

use self::reads::Reads;
use self::scope::Variable;
use crate::model::change::Change;
use crate::pipeline::route::path::Root;
use crate::pipeline::route::projection::{Picks, Projection};

/// A checked expression.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<Program>,
    /// What is evaluated: the program, with its loops in order and its numbers alike.
    root: Arc<IdedExpr>,
    reads: Reads,
    /// What it may give.
    kinds: Kinds,
    /// Whether it looks at the row as it was.
    is_of_before: bool,
    /// Whether it is missing where a field that it names is not told.
    needs_all: bool,
}

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct ExpressionError {
    /// Where in the expression, counted in characters from 1.
    pub column: usize,
    pub message: String,
}

/// An expression that knows where its fields are picked.
#[derive(Debug)]
pub(super) struct Bound {
    expression: Expression,
    variables: Vec<Variable>,
}

/// What an expression gave for a record.
#[derive(Debug, PartialEq)]
pub(super) enum Evaluated {
    Value(Json),
    /// It is null, or reads something that is absent or null.
    Missing,
    /// Why it failed, and where in the expression.
    Failed(String),
}

// === impl Expression ===

impl Expression {
    /// Compiles an expression, and checks all that can be told without a record.
    ///
    /// # Errors
    /// Everything that is wrong with it; never nothing.
    pub fn compile(source: &str) -> Result<Self, Vec<ExpressionError>> {
        let program = language::parse(source).map_err(|error| vec![error])?;
        let (kinds, mistakes) = check::check(&program);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            source: source.to_owned(),
            reads: reads::reads(program.expression()),
            root: Arc::new(order::ordered(program.expression())),
            program: Arc::new(program),
            kinds,
            is_of_before: false,
            needs_all: false,
        })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it may give, as far as that can be told.
    pub fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// The same, of the row as it was.
    pub(super) fn of_before(&self) -> Self {
        Self { is_of_before: true, ..self.clone() }
    }

    /// The same, and missing where a field that it names is not told. Who asks `has(row.plan)` for the
    /// segment of a deleted row would else take what is not known for what was not there.
    pub(super) fn of_what_is_told(&self) -> Self {
        Self { needs_all: true, ..self.clone() }
    }

    /// Whether it speaks of a part of the change.
    pub(super) fn reads(&self, root: Root) -> bool {
        self.reads.roots.iter().any(|(read, _)| *read == root)
    }

    /// Asks the projection for the fields that it reads.
    pub(super) fn bind(&self, projection: &mut Projection) -> Bound {
        let document = |root| {
            let is_other = self.is_of_before && matches!(root, Root::Row | Root::After);
            if is_other { Root::Before } else { root }
        };
        let variables = self.reads.roots.iter();
        let variables = variables
            .map(|(root, wanted)| Variable::bind(*root, document(*root), wanted, projection));
        Bound { expression: self.clone(), variables: variables.collect() }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.is_of_before == other.is_of_before
    }
}

/// Its source is its identity, also in a mapping's fingerprint.
impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

// === impl Bound ===

impl Bound {
    /// Evaluates the expression for a change.
    pub(super) fn evaluate(&self, change: &Change<'_>, picks: &Picks) -> Evaluated {
        if self.untold(change, picks).is_some() {
            return Evaluated::Missing;
        }
        match self.run(change, picks) {
            Err(malformed) => Evaluated::Failed(malformed),
            Ok(Ok(value)) => match json::json(&value) {
                Ok(Json::Null) => Evaluated::Missing,
                Ok(value) => Evaluated::Value(value),
                Err(error) => Evaluated::Failed(error),
            },
            Ok(Err(error)) if blame::is_missing(&error) => Evaluated::Missing,
            Ok(Err(error)) => Evaluated::Failed(self.blame(change, picks, &error)),
        }
    }

    /// Says of what is missing what it is.
    pub(super) fn missing(&self, change: &Change<'_>, picks: &Picks) -> String {
        if let Some(field) = self.untold(change, picks) {
            return format!("{field} is not told");
        }
        match self.run(change, picks) {
            Ok(Err(error)) => self.blame(change, picks, &error),
            Ok(Ok(_)) => "it is null".to_owned(),
            Err(malformed) => malformed,
        }
    }

    /// Whether it looks at the row as it was, whatever it calls it.
    pub(super) fn is_of_before(&self) -> bool {
        self.expression.is_of_before
    }

    /// A field that it names and the change does not tell, where that matters.
    fn untold(&self, change: &Change<'_>, picks: &Picks) -> Option<String> {
        let mut variables = self.variables.iter().filter(|_| self.expression.needs_all);
        variables.find_map(|variable| variable.untold(change, picks))
    }

    fn run(
        &self,
        change: &Change<'_>,
        picks: &Picks,
    ) -> Result<Result<Value, ExecutionError>, String> {
        scope::with_scope(&self.variables, change, picks, |scope| {
            Value::resolve(&self.expression.root, scope)
        })
    }

    fn blame(&self, change: &Change<'_>, picks: &Picks, error: &ExecutionError) -> String {
        scope::with_scope(&self.variables, change, picks, |scope| {
            let info = self.expression.program.source_info();
            blame::blame(info, &self.expression.root, scope, error)
        })
        .unwrap_or_else(|malformed| malformed)
    }
}
