//! What a function makes of its arguments, found by calling it.
//!
//! The language's library has no list of signatures to read. So a call is tried at start with an
//! example of every kind that its arguments may be of: what refuses all of them can never succeed,
//! and what accepts some tells which kinds come out. The check cannot disagree with the evaluation.

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};
use cel::{Context, ExecutionError, Value};

use super::kinds::Kinds;
use super::language::{parse, with_standard};
use super::order::ordered;

/// More arguments than that are not tried out: each multiplies the calls by the number of kinds.
const MOST_ARGUMENTS: usize = 4;

/// Examples of each kind that functions like to take: a text that is a number and a pattern, and lists
/// of all that a function may pick an item from.
const EXAMPLES: [(Kinds, &str); 13] = [
    (Kinds::BOOLEAN, "true"),
    (Kinds::INTEGER, "1"),
    (Kinds::UNSIGNED, "1u"),
    (Kinds::DOUBLE, "1.0"),
    (Kinds::TEXT, "'1'"),
    (Kinds::BYTES, "b'1'"),
    (Kinds::LIST, "['1', '1']"),
    (Kinds::LIST, "[1, 1]"),
    (Kinds::LIST, "[1u, 1u]"),
    (Kinds::LIST, "[1.0, 1.0]"),
    (Kinds::OBJECT, "{'1': 1}"),
    (Kinds::NULL, "null"),
    (Kinds::TYPE, "int"),
];

/// An argument of a call, a method's object included.
pub(super) struct Argument<'e> {
    pub(super) kinds: Kinds,
    /// The argument itself, when it is the same for every record.
    pub(super) fixed: Option<&'e IdedExpr>,
}

/// What trying out a call showed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Probed {
    /// It may succeed, and then gives one of these kinds.
    Gives(Kinds),
    /// There is no such function.
    Unknown,
    /// It takes no arguments of these kinds, or not so many.
    Refuses,
    /// An argument that is always the same makes it fail every time.
    Fails(ExecutionError),
}

/// Tries out a call. `method` says whether the first argument is the object it is called on.
pub(super) fn probe(call: &CallExpr, arguments: &[Argument<'_>], method: bool) -> Probed {
    if arguments.len() > MOST_ARGUMENTS {
        return Probed::Gives(Kinds::ANY);
    }
    let mut tried = Tried { gives: None, is_known: false, failure: None };
    with_standard(|standard| {
        let mut chosen = Vec::new();
        tried.every_choice(call, arguments, method, &mut chosen, standard);
    });
    match tried {
        Tried { gives: Some(kinds), .. } => Probed::Gives(kinds),
        Tried { failure: Some(error), .. } => Probed::Fails(error),
        Tried { is_known: true, .. } => Probed::Refuses,
        Tried { .. } => Probed::Unknown,
    }
}

struct Tried {
    gives: Option<Kinds>,
    is_known: bool,
    failure: Option<ExecutionError>,
}

impl Tried {
    fn every_choice(
        &mut self,
        call: &CallExpr,
        left: &[Argument<'_>],
        method: bool,
        chosen: &mut Vec<IdedExpr>,
        standard: &Context<'static, 'static>,
    ) {
        let Some((argument, left)) = left.split_first() else {
            return self.choice(call, method, chosen, standard);
        };
        let examples: Vec<IdedExpr> = match argument.fixed {
            Some(fixed) => vec![fixed.clone()],
            None => examples(argument.kinds),
        };
        for example in examples {
            chosen.push(example);
            self.every_choice(call, left, method, chosen, standard);
            chosen.pop();
        }
    }

    fn choice(
        &mut self,
        call: &CallExpr,
        method: bool,
        chosen: &[IdedExpr],
        standard: &Context<'static, 'static>,
    ) {
        let mut args = chosen.to_vec();
        let target = if method && !args.is_empty() {
            Some(Box::new(args.remove(0)))
        } else {
            call.target.clone()
        };
        let function = call.func_name.clone();
        let call = CallExpr { func_name: function.clone(), target, args };
        let node = ordered(&IdedExpr { id: 0, expr: Expr::Call(call) });
        let outcome = Value::resolve_val(&node, standard).map(|v| Kinds::of(v.get_type().kind()));
        match outcome {
            Ok(kinds) => self.accept(kinds),
            Err(ExecutionError::UndeclaredReference(_)) => {}
            Err(error) if is_mismatch(&error) => self.is_known = true,
            Err(error) if is_fault_of(&error, &function) => {
                self.is_known = true;
                self.failure = Some(error);
            }
            // It takes such arguments, only not these.
            Err(_) => self.accept(Kinds::ANY),
        }
    }

    fn accept(&mut self, kinds: Kinds) {
        self.is_known = true;
        self.gives = Some(self.gives.map_or(kinds, |known| known | kinds));
    }
}

/// The examples of some kinds.
fn examples(kinds: Kinds) -> Vec<IdedExpr> {
    thread_local! {
        static PARSED: Vec<(Kinds, IdedExpr)> = EXAMPLES
            .iter()
            .filter_map(|(kind, source)| Some((*kind, parse(source).ok()?.expression().clone())))
            .collect();
    }
    PARSED.with(|parsed| {
        let fitting = parsed.iter().filter(|(kind, _)| kinds.meets(*kind));
        fitting.map(|(_, example)| example.clone()).collect()
    })
}

/// Whether arguments of these kinds are refused, whatever their values.
pub(super) fn is_mismatch(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::NoSuchOverload(_)
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedKeyType(_)
            | ExecutionError::UnsupportedIndex(..)
            | ExecutionError::UnsupportedTargetType { .. }
            | ExecutionError::NotSupportedAsMethod { .. }
            | ExecutionError::InvalidArgumentCount { .. }
    )
}

/// Whether the examples are innocent: no divisor among them is zero, and each is a pattern.
fn is_fault_of(error: &ExecutionError, function: &str) -> bool {
    match function {
        "matches" => matches!(error, ExecutionError::FunctionError { .. }),
        operators::DIVIDE | operators::MODULO => {
            matches!(error, ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_))
        }
        _ => false,
    }
}
