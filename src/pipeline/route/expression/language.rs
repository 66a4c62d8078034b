//! The language of expressions: CEL with its standard functions, and those for texts and numbers
//! that its Go implementation brings along.
//!
//! Loops over objects have an order (`order`), and numbers of all kinds go with each other
//! (`arithmetic`). Optional values stay off: what an absent field means is said beside the expression.
//!
//! Language: <https://github.com/google/cel-spec/blob/master/doc/langdef.md>.

use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, SourceInfo, operators};
use cel::parser::ParseErrors;
use cel::{Context, Env, Program, extensions};

use super::{ExpressionError, arithmetic, order};

// Set up once per thread, not per record.
thread_local! {
    static ENVIRONMENT: Arc<Env> = Arc::new(environment());
    static STANDARD: Context<'static, 'static> =
        ENVIRONMENT.with(|environment| Context::with_env(Arc::clone(environment)));
}

/// Lends the standard functions.
pub(super) fn with_standard<T>(take: impl FnOnce(&Context<'static, 'static>) -> T) -> T {
    STANDARD.with(take)
}

fn environment() -> Env {
    let mut environment = Env::stdlib().with_optional_support(false);
    let texts = environment.add_extension(extensions::strings);
    let numbers = environment.add_extension(extensions::math);
    let loops = environment.add_extension(order::extension);
    let mixed = environment.add_extension(arithmetic::extension);
    let is_whole = texts.is_ok() && numbers.is_ok() && loops.is_ok() && mixed.is_ok();
    debug_assert!(is_whole, "they declare nothing twice");
    environment
}

/// Parses an expression.
///
/// # Errors
/// Its first mistake: what follows it has no reliable shape.
pub(super) fn parse(source: &str) -> Result<Program, ExpressionError> {
    let compiled = ENVIRONMENT.with(|environment| environment.compile(source));
    compiled.map_err(|errors| first_of(source, &errors))
}

fn first_of(source: &str, errors: &ParseErrors) -> ExpressionError {
    let Some(first) = errors.errors.first() else {
        return ExpressionError { column: 1, message: "cannot be parsed".to_owned() };
    };
    let (line, column) = first.pos;
    let lines_before = usize::try_from(line).unwrap_or(1).saturating_sub(1);
    let before: usize =
        source.split_inclusive('\n').take(lines_before).map(|line| line.chars().count()).sum();
    // What could have stood there instead is a list of all tokens.
    let message = first.msg.split(" expecting {").next().unwrap_or_default();
    ExpressionError {
        column: before + usize::try_from(column).unwrap_or(1).max(1),
        message: message.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Where a node stands in its expression, counted in characters from 1: at its operator, or where it
/// begins.
pub(super) fn column(info: &SourceInfo, node: &IdedExpr) -> usize {
    let own = info.offset_for(node.id).map(|(start, _)| start);
    let own = own.and_then(|start| usize::try_from(start).ok());
    let start = match &node.expr {
        // A function's place is its parenthesis.
        Expr::Call(call) if call.target.is_none() && call.func_name != operators::INDEX => {
            let name = spelled(&call.func_name);
            let is_word = name.starts_with(|c: char| c.is_alphabetic()) && name != "in";
            own.map(|own| if is_word { own.saturating_sub(name.len()) } else { own })
        }
        Expr::Unspecified
        | Expr::Call(_)
        | Expr::Comprehension(_)
        | Expr::Ident(_)
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Select(_)
        | Expr::Struct(_) => first_offset(info, node),
    };
    let start = start.unwrap_or(0);
    // Nodes know their places in bytes.
    info.source.char_indices().take_while(|(at, _)| *at < start).count() + 1
}

/// The leftmost place of a node and its parts.
fn first_offset(info: &SourceInfo, node: &IdedExpr) -> Option<usize> {
    let own = info.offset_for(node.id).and_then(|(start, _)| usize::try_from(start).ok());
    parts(&node.expr).into_iter().filter_map(|part| first_offset(info, part)).chain(own).min()
}

/// The nodes that a node is made of, but for the inside of a comprehension, which has names of its
/// own.
pub(super) fn parts(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Call(CallExpr { target, args, .. }) => {
            target.as_deref().into_iter().chain(args).collect()
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => values(&map.entries),
        Expr::Struct(made) => values(&made.entries),
        Expr::Comprehension(inner) => vec![&inner.iter_range, &inner.accu_init],
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn values(entries: &[IdedEntryExpr]) -> Vec<&IdedExpr> {
    entries
        .iter()
        .flat_map(|entry| match &entry.expr {
            EntryExpr::StructField(field) => vec![&field.value],
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        })
        .collect()
}

/// A function as it is written.
pub(super) fn spelled(function: &str) -> String {
    match arithmetic::operator(function).unwrap_or(function) {
        "math.@max" => "math.greatest".to_owned(),
        "math.@min" => "math.least".to_owned(),
        "_[_]" => "[]".to_owned(),
        "_._" => ".".to_owned(),
        other => other.trim_matches(['_', '@']).to_owned(),
    }
}
