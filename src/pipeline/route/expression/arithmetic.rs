//! Lets whole and floating-point numbers go with each other: `row.price * 2` and `row.count * 1.5`.
//!
//! The language keeps them apart. In JSON they are the same, and a producer writes the price 5 as a
//! whole number and 5.5 as another kind: a mapping that works for one would dead-letter the other.
//! Only what would have failed is changed, so every expression keeps its standard meaning.

use cel::common::ast::operators;
use cel::common::types::{CelDouble, CelInt, CelUInt, DYN_TYPE, Kind};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError, Value};

/// Operators, and the functions that stand for them. No expression can be written that calls these.
const FUNCTIONS: [(&str, &str); 4] = [
    (operators::ADD, "@add"),
    (operators::SUBSTRACT, "@subtract"),
    (operators::MULTIPLY, "@multiply"),
    (operators::DIVIDE, "@divide"),
];

/// Declares the functions.
pub(super) fn extension(environment: &mut Env) -> Result<(), DeclarationError> {
    let of = || vec![DYN_TYPE, DYN_TYPE];
    environment.add_overload("@add", "add_any", of(), |arguments| {
        calculated("add", arguments, |left, right| Some(left.as_adder()?.add(right)))
    })?;
    environment.add_overload("@subtract", "subtract_any", of(), |arguments| {
        calculated("sub", arguments, |left, right| Some(left.as_subtractor()?.sub(right)))
    })?;
    environment.add_overload("@multiply", "multiply_any", of(), |arguments| {
        calculated("mul", arguments, |left, right| Some(left.as_multiplier()?.mul(right)))
    })?;
    environment.add_overload("@divide", "divide_any", of(), |arguments| {
        calculated("div", arguments, |left, right| Some(left.as_divider()?.div(right)))
    })
}

/// The function that stands for an operator.
pub(super) fn function(operator: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(known, _)| *known == operator).map(|(_, function)| *function)
}

/// The operator that a function stands for.
pub(super) fn operator(function: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(_, known)| *known == function).map(|(operator, _)| *operator)
}

/// What one operation gives; `None` when the left side has no such operation.
type Operation = for<'b, 'v> fn(
    &'b (dyn Val + 'v),
    &'b (dyn Val + 'v),
) -> Option<Result<CowVal<'b, 'v>, ExecutionError>>;

fn calculated<'b, 'v>(
    name: &'static str,
    arguments: Vec<CowVal<'b, 'v>>,
    operation: Operation,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut arguments = arguments.into_iter();
    let (Some(left), Some(right)) = (arguments.next(), arguments.next()) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let (left, right) = alike(left, right);
    let unsupported = || {
        let value = |of: &CowVal<'b, 'v>| Value::try_from(of.as_ref()).unwrap_or(Value::Null);
        ExecutionError::UnsupportedBinaryOperator(name, value(&left), value(&right))
    };
    // The library appends an object's names to a list, in no order.
    if [&left, &right].into_iter().any(|value| value.get_type().kind() == Kind::Map) {
        return Err(unsupported());
    }
    let calculated = operation(left.as_ref(), right.as_ref()).ok_or_else(unsupported)??;
    Ok(CowVal::Owned(calculated.into_owned()))
}

/// Of a whole number beside a floating-point one, that as a floating-point one.
fn alike<'b, 'v>(left: CowVal<'b, 'v>, right: CowVal<'b, 'v>) -> (CowVal<'b, 'v>, CowVal<'b, 'v>) {
    let is_double = |value: &CowVal<'b, 'v>| value.downcast_ref::<CelDouble>().is_some();
    match (is_double(&left), is_double(&right)) {
        (true, false) => (left, double(right)),
        (false, true) => (double(left), right),
        (true, true) | (false, false) => (left, right),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as `double()` does")]
fn double<'b, 'v>(value: CowVal<'b, 'v>) -> CowVal<'b, 'v> {
    let signed = value.downcast_ref::<CelInt>().map(|whole| *whole.inner() as f64);
    let unsigned = value.downcast_ref::<CelUInt>().map(|whole| *whole.inner() as f64);
    match signed.or(unsigned) {
        Some(double) => CowVal::owned(CelDouble::from(double)),
        None => value,
    }
}
