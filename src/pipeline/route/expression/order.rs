//! Gives loops over objects an order.
//!
//! The language's objects have none, and the library's maps give theirs in another order in every
//! process. A list made of one would make the same record another request after a restart, which
//! LaunchDarkly would count twice (P3). So `exists`, `map` and their like see the members sorted.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, MapEntryExpr,
    MapExpr, SelectExpr,
};
use cel::common::types::{CelList, DYN_TYPE, Kind};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError, Value};

use super::arithmetic;

/// No expression can be written that calls it.
const SORTED: &str = "@sorted";

/// Declares what the rewritten loops call.
pub(super) fn extension(environment: &mut Env) -> Result<(), DeclarationError> {
    environment.add_overload(SORTED, "sorted_names", vec![DYN_TYPE], sorted)
}

/// The names of an object's members, sorted; anything else as it is.
fn sorted<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut arguments = arguments.into_iter();
    let range = arguments.next().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let (Kind::Map, Some(members)) = (range.get_type().kind(), range.as_iterable()) else {
        return Ok(range);
    };
    let mut names: Vec<(String, Box<dyn Val + 'v>)> = Vec::new();
    let mut members = members.iter();
    while let Some(name) = members.next() {
        names.push((format!("{:?}", Value::try_from(name)?), name.clone_as_boxed()));
    }
    names.sort_by(|(one, _), (other, _)| one.cmp(other));
    let names: Vec<Box<dyn Val + 'v>> = names.into_iter().map(|(_, name)| name).collect();
    Ok(CowVal::owned(CelList::from(names)))
}

/// The same expression, with every loop in order and numbers going with each other.
pub(super) fn ordered(node: &IdedExpr) -> IdedExpr {
    let boxed = |node: &IdedExpr| Box::new(ordered(node));
    let expr = match &node.expr {
        Expr::Comprehension(inner) => {
            let range = ordered(&inner.iter_range);
            let call = CallExpr { func_name: SORTED.to_owned(), target: None, args: vec![range] };
            Expr::Comprehension(Box::new(ComprehensionExpr {
                iter_range: IdedExpr { id: inner.iter_range.id, expr: Expr::Call(call) },
                accu_init: ordered(&inner.accu_init),
                loop_cond: ordered(&inner.loop_cond),
                loop_step: ordered(&inner.loop_step),
                result: ordered(&inner.result),
                ..ComprehensionExpr::clone(inner)
            }))
        }
        Expr::Call(call) => Expr::Call(CallExpr {
            func_name: arithmetic::function(&call.func_name)
                .map_or_else(|| call.func_name.clone(), str::to_owned),
            target: call.target.as_deref().map(boxed),
            args: call.args.iter().map(ordered).collect(),
        }),
        Expr::List(list) => Expr::List(ListExpr {
            elements: list.elements.iter().map(ordered).collect(),
            optional_indices: list.optional_indices.clone(),
        }),
        Expr::Select(select) => {
            Expr::Select(SelectExpr { operand: boxed(&select.operand), ..select.clone() })
        }
        Expr::Map(map) => {
            Expr::Map(MapExpr { entries: map.entries.iter().map(ordered_entry).collect() })
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => {
            node.expr.clone()
        }
    };
    IdedExpr { id: node.id, expr }
}

fn ordered_entry(entry: &IdedEntryExpr) -> IdedEntryExpr {
    let expr = match &entry.expr {
        EntryExpr::MapEntry(of) => EntryExpr::MapEntry(MapEntryExpr {
            key: ordered(&of.key),
            value: ordered(&of.value),
            optional: of.optional,
        }),
        EntryExpr::StructField(_) => entry.expr.clone(),
    };
    IdedEntryExpr { id: entry.id, expr }
}
