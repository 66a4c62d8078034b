//! Checks an expression at start: its names, its functions, and what their arguments can be.
//!
//! # Invariants
//! - K1: what is refused here would fail, or never differ, for every record. Fields of a row may hold
//!   anything, so they are never the reason.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, SourceInfo, operators};
use cel::{Program, Value};

use super::ExpressionError;
use super::blame::words;
use super::kinds::Kinds;
use super::language::{column, parts, spelled, with_standard};
use super::order::ordered;
use super::probe::{Argument, Probed, probe};
use super::reads::is_constant;
use crate::pipeline::route::path::Root;

/// The function whose purpose is to hide the kind of what it is given.
const DYN: &str = "dyn";
/// Functions of their own, rather than methods of a value.
const NAMESPACES: [&str; 2] = ["math", "strings"];
/// A loop's result settles when no step adds a kind to it, and there are ten.
const MOST_STEPS: usize = 11;

/// Gives the kinds an expression may result in, and everything that is wrong with it.
pub(super) fn check(program: &Program) -> (Kinds, Vec<ExpressionError>) {
    let mut checker =
        Checker { info: program.source_info(), bound: Vec::new(), mistakes: Vec::new() };
    let kinds = checker.kinds(program.expression());
    checker.mistakes.sort_by_key(|mistake| mistake.column);
    checker.mistakes.dedup();
    (kinds, checker.mistakes)
}

struct Checker<'e> {
    info: &'e SourceInfo,
    /// The names that `exists`, `all`, `map` and the like bind, innermost last.
    bound: Vec<(&'e str, Kinds)>,
    mistakes: Vec<ExpressionError>,
}

impl<'e> Checker<'e> {
    fn mistake(&mut self, node: &IdedExpr, message: String) {
        self.mistakes.push(ExpressionError { column: column(self.info, node), message });
    }

    fn kinds(&mut self, node: &'e IdedExpr) -> Kinds {
        let sound_before = self.mistakes.len();
        let kinds = match &node.expr {
            Expr::Unspecified => Kinds::ANY,
            Expr::Literal(literal) => Kinds::of(literal.to_val().get_type().kind()),
            Expr::Ident(name) => self.name(node, name),
            Expr::Select(select) => {
                let operand = self.kinds(&select.operand);
                self.demand(&select.operand, operand, Kinds::OBJECT, "has no fields");
                let is_headers =
                    matches!(&select.operand.expr, Expr::Ident(name) if name == "headers");
                match (select.test, is_headers) {
                    (true, _) => Kinds::BOOLEAN,
                    (false, true) => Kinds::TEXT,
                    (false, false) => Kinds::ANY,
                }
            }
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(inner) => self.comprehension(inner),
            Expr::List(_) => self.all(node, Kinds::LIST),
            Expr::Map(_) => self.all(node, Kinds::OBJECT),
            Expr::Struct(made) => {
                self.mistake(node, format!("there is no type `{}` to make", made.type_name));
                Kinds::ANY
            }
        };
        let is_sound = self.mistakes.len() == sound_before;
        let is_hidden = matches!(&node.expr, Expr::Call(call) if call.func_name == DYN);
        let is_literal = matches!(node.expr, Expr::Literal(_));
        if is_sound && !is_literal && !is_hidden && is_constant(node) {
            return self.constant(node, kinds);
        }
        kinds
    }

    /// What is the same for every record is tried out here and now.
    fn constant(&mut self, node: &IdedExpr, kinds: Kinds) -> Kinds {
        let given = with_standard(|standard| {
            let node = ordered(node);
            let value = Value::resolve_val(&node, standard);
            value.map(|value| Kinds::of(value.get_type().kind()))
        });
        given.unwrap_or_else(|error| {
            self.mistake(node, format!("always fails: {}", words(&error, node)));
            kinds
        })
    }

    fn all(&mut self, node: &'e IdedExpr, kinds: Kinds) -> Kinds {
        for part in parts(&node.expr) {
            self.kinds(part);
        }
        kinds
    }

    fn name(&mut self, node: &IdedExpr, name: &str) -> Kinds {
        if let Some((_, kinds)) = self.bound.iter().rev().find(|(bound, _)| *bound == name) {
            return *kinds;
        }
        if let Some(root) = Root::ALL.into_iter().find(|root| root.as_str() == name) {
            return Kinds::of_root(root);
        }
        let is_type = with_standard(|standard| Value::resolve_val(node, standard).is_ok());
        if is_type {
            return Kinds::TYPE;
        }
        let known: Vec<&str> = Root::ALL.iter().map(|root| root.as_str()).collect();
        let known = known.join(", ");
        self.mistake(
            node,
            format!("`{name}` is not a part of a change; one of {known} (fields are row.{name})"),
        );
        Kinds::ANY
    }

    /// Notes a mistake when a value can never be what is needed of it.
    fn demand(&mut self, node: &IdedExpr, kinds: Kinds, wanted: Kinds, otherwise: &str) {
        if !kinds.meets(wanted) {
            self.mistake(node, format!("this is {kinds}, which {otherwise}"));
        }
    }

    fn call(&mut self, node: &'e IdedExpr, call: &'e CallExpr) -> Kinds {
        if let Some(target) = call.target.as_deref()
            && self.is_namespace(target)
        {
            let arguments = self.arguments(call.args.iter());
            return self.probed(node, call, &arguments, false);
        }
        let is_method = call.target.is_some();
        let arguments = self.arguments(call.target.as_deref().into_iter().chain(&call.args));
        let kinds: Vec<Kinds> = arguments.iter().map(|argument| argument.kinds).collect();
        match (call.func_name.as_str(), kinds.as_slice(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, then, otherwise], [of, ..]) => {
                self.demand(of, *condition, Kinds::BOOLEAN, "is no condition");
                *then | *otherwise
            }
            (
                operators::LOGICAL_AND | operators::LOGICAL_OR,
                [left, right],
                [of_left, of_right],
            ) => {
                self.demand(of_left, *left, Kinds::BOOLEAN, "is no condition");
                self.demand(of_right, *right, Kinds::BOOLEAN, "is no condition");
                Kinds::BOOLEAN
            }
            (operators::NOT_STRICTLY_FALSE, ..) => Kinds::BOOLEAN,
            (operators::EQUALS | operators::NOT_EQUALS, [left, right], _) => {
                if !left.may_equal(*right) {
                    self.mistake(node, format!("{left} never equals {right}"));
                }
                Kinds::BOOLEAN
            }
            (operators::INDEX, [of, _], [operand, _]) => {
                self.demand(operand, *of, Kinds::LIST | Kinds::OBJECT, "has no items");
                Kinds::ANY
            }
            (DYN, [_], _) => Kinds::ANY,
            _ => self.probed(node, call, &arguments, is_method),
        }
    }

    fn arguments(&mut self, nodes: impl Iterator<Item = &'e IdedExpr>) -> Vec<Argument<'e>> {
        nodes
            .map(|node| {
                let sound_before = self.mistakes.len();
                let kinds = self.kinds(node);
                // One that always fails is noted already, and not the fault of who takes it.
                let is_sound = self.mistakes.len() == sound_before;
                Argument { kinds, fixed: (is_sound && is_constant(node)).then_some(node) }
            })
            .collect()
    }

    /// Whether a call like `math.round(x)` names a function rather than a method of a value.
    fn is_namespace(&self, target: &IdedExpr) -> bool {
        matches!(&target.expr, Expr::Ident(name) if NAMESPACES.contains(&name.as_str())
            && self.bound.iter().all(|(bound, _)| bound != name))
    }

    fn probed(
        &mut self,
        node: &IdedExpr,
        call: &CallExpr,
        arguments: &[Argument<'_>],
        method: bool,
    ) -> Kinds {
        let function = match call.target.as_deref().map(|target| &target.expr) {
            Some(Expr::Ident(namespace)) if !method => format!("{namespace}.{}", call.func_name),
            _ => spelled(&call.func_name),
        };
        match probe(call, arguments, method) {
            Probed::Gives(kinds) => return kinds,
            Probed::Unknown => self.mistake(node, format!("there is no function `{function}`")),
            Probed::Fails(error) => {
                self.mistake(node, format!("always fails: {}", words(&error, node)));
            }
            Probed::Refuses => {
                let any: Vec<_> =
                    arguments.iter().map(|_| Argument { kinds: Kinds::ANY, fixed: None }).collect();
                let given: Vec<String> = arguments.iter().map(|a| a.kinds.to_string()).collect();
                let message = if probe(call, &any, method) == Probed::Refuses {
                    let count = arguments.len() - usize::from(method);
                    let noun = if count == 1 { "argument" } else { "arguments" };
                    format!("`{function}` does not take {count} {noun}")
                } else {
                    format!("`{function}` does not take {}", given.join(" and "))
                };
                self.mistake(node, message);
            }
        }
        Kinds::ANY
    }

    fn comprehension(&mut self, inner: &'e ComprehensionExpr) -> Kinds {
        let range = self.kinds(&inner.iter_range);
        self.demand(&inner.iter_range, range, Kinds::LIST | Kinds::OBJECT, "has no items");
        let mut result = self.kinds(&inner.accu_init);
        let outer = self.bound.len();
        let sound_before = self.mistakes.len();
        for _ in 0..MOST_STEPS {
            self.mistakes.truncate(sound_before);
            self.bound.push((&inner.iter_var, Kinds::ANY));
            self.bound.extend(inner.iter_var2.as_deref().map(|name| (name, Kinds::ANY)));
            self.bound.push((&inner.accu_var, result));
            self.kinds(&inner.loop_cond);
            let step = result | self.kinds(&inner.loop_step);
            if step == result {
                break;
            }
            self.bound.truncate(outer);
            result = step;
        }
        let kinds = self.kinds(&inner.result);
        self.bound.truncate(outer);
        kinds
    }
}
