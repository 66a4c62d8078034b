//! Finds which part of an expression failed for a record, and says why without its values.
//!
//! The language's library tells what failed and not where, so the parts are evaluated once more.
//! That is paid for by records that fail, not by those that succeed.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library decides what nodes and errors exist"
)]

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::{Context, ExecutionError, Value};

use super::language::{column, parts, spelled};

/// Says what failed and where: `column 7: row.total is absent`.
pub(super) fn blame(
    info: &SourceInfo,
    root: &IdedExpr,
    scope: &Context<'_, '_>,
    error: &ExecutionError,
) -> String {
    let culprit = culprit(root, scope, error);
    format!("column {}: {}", column(info, culprit), words(error, culprit))
}

/// Whether an evaluation failed for want of a value: it is absent, or null where none is expected.
pub(super) fn is_missing(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) => true,
        ExecutionError::UnsupportedBinaryOperator(_, left, right) => {
            matches!(left, Value::Null) || matches!(right, Value::Null)
        }
        ExecutionError::NoSuchOverload(overload) => {
            overload.argument_types().iter().any(|name| name == NULL)
        }
        ExecutionError::UnexpectedType { got, .. } => got == NULL,
        _ => false,
    }
}

/// What the language calls the type of null.
const NULL: &str = "null_type";

/// The innermost part that fails as the whole does.
fn culprit<'e>(
    node: &'e IdedExpr,
    scope: &Context<'_, '_>,
    error: &ExecutionError,
) -> &'e IdedExpr {
    let evaluated = match &node.expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => taken(call, scope),
        expr => parts(expr),
    };
    evaluated
        .into_iter()
        .find(|part| Value::resolve_val(part, scope).err().as_ref() == Some(error))
        .map_or(node, |part| culprit(part, scope, error))
}

/// The condition, and the branch that it chose.
fn taken<'e>(call: &'e CallExpr, scope: &Context<'_, '_>) -> Vec<&'e IdedExpr> {
    let [condition, then, otherwise] = call.args.as_slice() else { return Vec::new() };
    match Value::resolve(condition, scope) {
        Ok(Value::Bool(true)) => vec![condition, then],
        Ok(Value::Bool(false)) => vec![condition, otherwise],
        _ => vec![condition],
    }
}

/// Why a part failed, in words that hold no value of the record.
pub(super) fn words(error: &ExecutionError, culprit: &IdedExpr) -> String {
    let name = || path(culprit).unwrap_or_else(|| "it".to_owned());
    match error {
        ExecutionError::NoSuchKey(key) => {
            let field = path(culprit).unwrap_or_else(|| format!("`{key}`"));
            format!("{field} is absent")
        }
        ExecutionError::IndexOutOfBounds(_) => format!("{} is absent", name()),
        ExecutionError::UnsupportedBinaryOperator(_, left, right) => {
            let types = [left, right].map(|value| match value.type_of().to_string() {
                float if float == "float" => "double".to_owned(),
                other => other,
            });
            refused(culprit, "the operator", &types)
        }
        ExecutionError::NoSuchOverload(overload) => {
            refused(culprit, &spelled(overload.function()), overload.argument_types())
        }
        ExecutionError::UnexpectedType { got, want } => {
            let want = if want == "bool" { "true or false" } else { want };
            format!("it is {}, not {want}", kind(got))
        }
        ExecutionError::FunctionError { function, .. } => {
            format!("`{}` cannot take this value", spelled(function))
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "the result is too large".to_owned(),
        ExecutionError::UnsupportedKeyType(_) => "an object's keys are texts or numbers".to_owned(),
        ExecutionError::DuplicateKey(_) => "a key stands twice in an object".to_owned(),
        ExecutionError::UndeclaredReference(name) => format!("there is no `{name}`"),
        _ => "it cannot be evaluated".to_owned(),
    }
}

/// A function or an operator that does not take what it was given.
fn refused(culprit: &IdedExpr, function: &str, types: &[String]) -> String {
    let function = match &culprit.expr {
        Expr::Call(call) => spelled(&call.func_name),
        Expr::Select(select) => {
            let of = path(&select.operand).unwrap_or_else(|| "it".to_owned());
            let is = types.first().map_or("null", |name| kind(name));
            return format!("{of} is {is}, so it has no field `{}`", select.field);
        }
        _ => function.to_owned(),
    };
    let numbers = ["int", "uint", "double"];
    let is_mixed = types.len() == 2 && types.iter().all(|name| numbers.contains(&name.as_str()));
    let given: Vec<&str> = types.iter().map(|name| kind(name)).collect();
    if is_mixed {
        let given = types.join(" and ");
        return format!(
            "`{function}` does not take {given}; make them alike, for example by int()"
        );
    }
    format!("`{function}` does not take {}", given.join(" and "))
}

/// The language's name of a type, in words.
fn kind(name: &str) -> &str {
    match name {
        "string" => "a text",
        "int" | "uint" | "double" => "a number",
        "bool" => "true or false",
        "list" => "a list",
        "map" => "an object",
        NULL | "null" => "null",
        other => other,
    }
}

/// How a field is written in an expression, when a part is one.
fn path(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) => Some(format!("{}.{}", path(&select.operand)?, select.field)),
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::INDEX => {
            let [operand, index] = args.as_slice() else { return None };
            let index = match &index.expr {
                Expr::Literal(LiteralValue::String(name)) => format!("{:?}", name.inner()),
                Expr::Literal(LiteralValue::Int(index)) => index.inner().to_string(),
                _ => "…".to_owned(),
            };
            Some(format!("{}[{index}]", path(operand)?))
        }
        _ => None,
    }
}
