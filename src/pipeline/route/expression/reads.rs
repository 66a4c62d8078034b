//! Which parts of a change an expression reads, so that only they are decoded.
//!
//! `row.total` reads one field; a bare `row`, or `row[key]` with a computed key, reads all of it.

#![expect(clippy::wildcard_enum_match_arm, reason = "the library decides what nodes exist")]

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::language::parts;
use crate::pipeline::route::path::Root;

/// What is read of one part of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    /// Only these fields, each with all that is below it.
    Fields(Vec<String>),
}

/// What an expression reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) roots: Vec<(Root, Wanted)>,
}

pub(super) fn reads(node: &IdedExpr) -> Reads {
    let mut reads = Reads::default();
    reads.walk(node, &mut Vec::new());
    reads
}

/// Whether a node gives the same for every record, whatever names stand around it.
pub(super) fn is_constant(node: &IdedExpr) -> bool {
    fn is_free(node: &IdedExpr, bound: &mut Vec<String>) -> bool {
        match &node.expr {
            Expr::Ident(name) => !bound.contains(name),
            Expr::Comprehension(inner) => {
                let outer = bound.len();
                let range = parts(&node.expr).into_iter().any(|part| is_free(part, bound));
                bound.extend([inner.iter_var.clone(), inner.accu_var.clone()]);
                bound.extend(inner.iter_var2.clone());
                let inside = [&inner.loop_cond, &inner.loop_step, &inner.result];
                let found = range || inside.into_iter().any(|part| is_free(part, bound));
                bound.truncate(outer);
                found
            }
            other => parts(other).into_iter().any(|part| is_free(part, bound)),
        }
    }
    !is_free(node, &mut Vec::new())
}

// === impl Reads ===

impl Reads {
    fn walk<'e>(&mut self, node: &'e IdedExpr, bound: &mut Vec<&'e str>) {
        if let Some((root, field)) = field_of_root(node, bound) {
            return self.add(root, Some(field));
        }
        match &node.expr {
            Expr::Ident(name) => {
                if let Some(root) = root_named(name, bound) {
                    self.add(root, None);
                }
            }
            Expr::Comprehension(inner) => {
                for part in parts(&node.expr) {
                    self.walk(part, bound);
                }
                let outer = bound.len();
                bound.extend([inner.iter_var.as_str(), inner.accu_var.as_str()]);
                bound.extend(inner.iter_var2.as_deref());
                for part in [&inner.loop_cond, &inner.loop_step, &inner.result] {
                    self.walk(part, bound);
                }
                bound.truncate(outer);
            }
            other => {
                for part in parts(other) {
                    self.walk(part, bound);
                }
            }
        }
    }

    fn add(&mut self, root: Root, field: Option<&str>) {
        let at = self.roots.iter().position(|(known, _)| *known == root).unwrap_or_else(|| {
            self.roots.push((root, Wanted::Fields(Vec::new())));
            self.roots.len() - 1
        });
        let Some((_, wanted)) = self.roots.get_mut(at) else { return };
        match (wanted, field) {
            (Wanted::Whole, _) => {}
            (wanted @ Wanted::Fields(_), None) => *wanted = Wanted::Whole,
            (Wanted::Fields(fields), Some(field)) => {
                if !fields.iter().any(|known| known == field) {
                    fields.push(field.to_owned());
                }
            }
        }
    }
}

/// `row.total`, `has(row.total)` and `row["total"]`.
fn field_of_root<'e>(node: &'e IdedExpr, bound: &[&str]) -> Option<(Root, &'e str)> {
    match &node.expr {
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(name) => Some((root_named(name, bound)?, &select.field)),
            _ => None,
        },
        Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::INDEX => {
            match args.as_slice() {
                [
                    IdedExpr { expr: Expr::Ident(name), .. },
                    IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. },
                ] => Some((root_named(name, bound)?, field.inner())),
                _ => None,
            }
        }
        _ => None,
    }
}

fn root_named(name: &str, bound: &[&str]) -> Option<Root> {
    let root = Root::ALL.into_iter().find(|root| root.as_str() == name);
    root.filter(|_| !bound.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::super::language::parse;
    use super::*;

    #[test]
    fn only_what_is_named_is_read() {
        let fields =
            |names: &[&str]| Wanted::Fields(names.iter().map(|n| (*n).to_owned()).collect());
        for (source, expected) in [
            ("1 + 2", vec![]),
            ("op == 'create'", vec![(Root::Op, Wanted::Whole)]),
            ("row.a.b > row.c[0] && has(row.d.e)", vec![(Root::Row, fields(&["a", "c", "d"]))]),
            ("row['a'] == row.a", vec![(Root::Row, fields(&["a"]))]),
            ("row.a == row", vec![(Root::Row, Wanted::Whole)]),
            ("row[row.a]", vec![(Root::Row, Wanted::Whole)]),
            ("row.exists(row, row == 'a')", vec![(Root::Row, Wanted::Whole)]),
            ("[1].exists(row, row.a == 1)", vec![]),
            (
                "row.tags.map(t, t + before.b)",
                vec![(Root::Row, fields(&["tags"])), (Root::Before, fields(&["b"]))],
            ),
        ] {
            assert_eq!(reads(parse(source).unwrap().expression()).roots, expected, "{source}");
        }
    }

    #[test]
    fn a_constant_names_nothing_from_outside() {
        for (source, expected) in
            [("1 + 2", true), ("[1].exists(x, x > 0)", true), ("op", false), ("[row.a]", false)]
        {
            assert_eq!(is_constant(parse(source).unwrap().expression()), expected, "{source}");
        }
    }
}
