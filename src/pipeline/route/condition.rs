//! `when` and `member`: conditions over a change.
//!
//! Not here: the language (`expression`).

use super::expression::{Bound, Evaluated, Expression, ExpressionError, Kinds};
use super::projection::{Picks, Projection};
use crate::model::change::Change;

/// A checked condition.
#[derive(Debug, Clone)]
pub struct Condition(Expression);

/// A condition that knows where its fields are picked.
#[derive(Debug)]
pub(super) struct BoundCondition(Bound);

// === impl Condition ===

impl Condition {
    /// Compiles an expression that may be true or false.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(source: &str) -> Result<Self, Vec<ExpressionError>> {
        let expression = Expression::compile(source)?;
        let kinds = expression.kinds();
        if !kinds.meets(Kinds::BOOLEAN) {
            let message = format!("gives {kinds}, not true or false");
            return Err(vec![ExpressionError { column: 1, message }]);
        }
        Ok(Self(expression))
    }

    pub fn source(&self) -> &str {
        self.0.source()
    }

    pub(super) fn expression(&self) -> &Expression {
        &self.0
    }

    pub(super) fn bind(&self, projection: &mut Projection) -> BoundCondition {
        BoundCondition(self.0.bind(projection))
    }
}

// === impl BoundCondition ===

impl BoundCondition {
    /// Evaluates the condition for a change.
    ///
    /// # Errors
    /// A text for a person when it fails (a field is absent, types do not fit) or is no boolean.
    pub(super) fn holds(&self, change: &Change<'_>, picks: &Picks) -> Result<bool, String> {
        match self.0.evaluate(change, picks) {
            Evaluated::Value(value) => {
                value.as_bool().ok_or_else(|| "gives something else than true or false".to_owned())
            }
            Evaluated::Missing => Err(self.0.missing(change, picks)),
            Evaluated::Failed(detail) => Err(detail),
        }
    }
}
