//! `when`: a Common Expression Language condition over a change.
//!
//! Only the parts of the change that the expression names are turned into values, so a condition
//! on `op` alone costs no JSON parsing.
//!
//! Language: <https://github.com/google/cel-spec/blob/master/doc/langdef.md>.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr};
use cel::objects::{Key, Map};
use cel::{Context, IdedExpr, Program, Value};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::path::Root;
use crate::model::change::{Change, Placeholder};

/// A compiled condition.
#[derive(Clone)]
pub struct Condition {
    source: String,
    program: Arc<Program>,
    /// The parts of a change that it names.
    roots: Vec<Root>,
}

/// Why a text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct ConditionError {
    /// Where in the expression, counted in characters from 1.
    pub column: usize,
    pub message: String,
}

/// Reads a CEL value from JSON text without a tree in between.
#[derive(Clone, Copy)]
struct CelJson<'p> {
    /// Members with this value are left out, so that `has()` says no.
    unavailable: Option<&'p Placeholder>,
}

// === impl Condition ===

impl Condition {
    /// Compiles an expression and checks every name in it.
    pub fn compile(source: &str) -> Result<Self, ConditionError> {
        let program = Program::compile(source).map_err(|errors| first_of(&errors))?;
        let mut roots = Vec::new();
        for (name, id) in free_names(program.expression(), &mut Vec::new()) {
            match Root::ALL.into_iter().find(|root| root.as_str() == name) {
                Some(root) if roots.contains(&root) => {}
                Some(root) => roots.push(root),
                None => return Err(unknown_name(name, program.source_info().offset_for(id))),
            }
        }
        Ok(Self { source: source.to_owned(), program: Arc::new(program), roots })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Evaluates the condition for a change.
    ///
    /// # Errors
    /// A text for a person when the expression fails (a field is absent, types do not fit) or is
    /// no boolean.
    pub fn holds(&self, change: &Change<'_>) -> Result<bool, String> {
        // A child scope: the standard functions are registered once per thread, not per record.
        thread_local! {
            static STANDARD: Context<'static, 'static> = Context::default();
        }
        STANDARD.with(|standard| {
            let mut scope = standard.new_inner_scope();
            for root in &self.roots {
                scope.add_variable_from_value(root.as_str(), value_of(*root, change)?);
            }
            match self.program.execute(&scope) {
                Ok(Value::Bool(holds)) => Ok(holds),
                Ok(other) => Err(format!("gives {}, not true or false", kind_of(&other))),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.source).finish()
    }
}

fn first_of(errors: &cel::ParseErrors) -> ConditionError {
    let Some(first) = errors.errors.first() else {
        return ConditionError { column: 1, message: "cannot be parsed".to_owned() };
    };
    ConditionError {
        column: usize::try_from(first.pos.1).unwrap_or(1).max(1),
        message: first.msg.clone(),
    }
}

fn unknown_name(name: &str, offset: Option<(u32, u32)>) -> ConditionError {
    let known: Vec<&str> = Root::ALL.iter().map(|root| root.as_str()).collect();
    let column = offset.and_then(|(start, _)| usize::try_from(start).ok()).unwrap_or(0) + 1;
    ConditionError {
        column,
        message: format!(
            "`{name}` is not a part of a change; one of {} (fields are row.{name})",
            known.join(", ")
        ),
    }
}

/// The names an expression reads from outside, each with the node that reads it.
///
/// The crate's own list of references includes the variables that `exists`, `all` and `map` bind.
fn free_names<'e>(node: &'e IdedExpr, bound: &mut Vec<&'e str>) -> Vec<(&'e str, u64)> {
    match &node.expr {
        Expr::Ident(name) if bound.contains(&name.as_str()) => Vec::new(),
        Expr::Ident(name) => vec![(name, node.id)],
        Expr::Comprehension(inner) => free_in_comprehension(inner, bound),
        Expr::Unspecified
        | Expr::Call(_)
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Select(_)
        | Expr::Struct(_) => {
            parts_of(&node.expr).into_iter().flat_map(|part| free_names(part, bound)).collect()
        }
    }
}

fn free_in_comprehension<'e>(
    inner: &'e ComprehensionExpr,
    bound: &mut Vec<&'e str>,
) -> Vec<(&'e str, u64)> {
    let mut names = free_names(&inner.iter_range, bound);
    names.extend(free_names(&inner.accu_init, bound));
    let outer = bound.len();
    bound.extend([inner.iter_var.as_str(), inner.accu_var.as_str()]);
    bound.extend(inner.iter_var2.as_deref());
    for part in [&inner.loop_cond, &inner.loop_step, &inner.result] {
        names.extend(free_names(part, bound));
    }
    bound.truncate(outer);
    names
}

fn parts_of(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => values_of(&map.entries),
        Expr::Struct(made) => values_of(&made.entries),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Comprehension(_) => {
            Vec::new()
        }
    }
}

fn values_of(entries: &[IdedEntryExpr]) -> Vec<&IdedExpr> {
    entries
        .iter()
        .flat_map(|entry| match &entry.expr {
            EntryExpr::StructField(field) => vec![&field.value],
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        })
        .collect()
}

fn value_of(root: Root, change: &Change<'_>) -> Result<Value, String> {
    let record = &change.record;
    Ok(match root {
        Root::Op => Value::from(change.op.as_str()),
        Root::Topic => Value::from(record.topic),
        Root::Partition => Value::Int(record.partition.into()),
        Root::Offset => Value::Int(record.offset),
        Root::Timestamp => record.timestamp_ms.map_or(Value::Null, Value::Int),
        Root::Headers => headers_of(change),
        Root::Row => document(change.row(), change)?,
        Root::Before => document(change.before, change)?,
        Root::After => document(change.after, change)?,
        Root::Key => document(change.key, change)?,
        Root::Source => document(change.source, change)?,
    })
}

fn document(text: Option<&str>, change: &Change<'_>) -> Result<Value, String> {
    let Some(text) = text else { return Ok(Value::Null) };
    let mut json = serde_json::Deserializer::from_str(text);
    CelJson { unavailable: change.unavailable }
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value))
        .map_err(|e| e.to_string())
}

fn headers_of(change: &Change<'_>) -> Value {
    let headers = change.record.headers;
    let named = (0..headers.count()).filter_map(|i| headers.at(i)).filter_map(|(name, value)| {
        let text = std::str::from_utf8(value?).ok()?;
        Some((Key::from(name), Value::from(text)))
    });
    Value::Map(Map { map: Arc::new(named.collect()) })
}

fn kind_of(value: &Value) -> String {
    format!("a {}", value.type_of())
}

// === impl CelJson ===

impl CelJson<'_> {
    fn is_unavailable(self, value: &Value) -> bool {
        let Some(placeholder) = self.unavailable else { return false };
        match value {
            Value::String(text) => placeholder.is(text),
            Value::List(list) => match list.as_slice() {
                [Value::String(text)] => placeholder.is(text),
                codes => {
                    let text = placeholder.text.bytes().map(|code| Value::Int(code.into()));
                    codes.len() == placeholder.text.len() && text.eq(codes.iter().cloned())
                }
            },
            Value::Map(_)
            | Value::Function(..)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Bytes(_)
            | Value::Bool(_)
            | Value::Opaque(_)
            | Value::Struct(_)
            | Value::Null => false,
        }
    }
}

impl<'de> DeserializeSeed<'de> for CelJson<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CelJson<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(i64::try_from(v).map_or(Value::UInt(v), Value::Int))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::List(Arc::new(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = HashMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let name = Key::from(name);
            let value = map.next_value_seed(self)?;
            if self.is_unavailable(&value) {
                members.remove(&name);
            } else {
                members.insert(name, value);
            }
        }
        Ok(Value::Map(Map { map: Arc::new(members) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::Op;
    use crate::model::record::{NoHeaders, Record};

    fn change(op: Op, row: &str) -> Change<'_> {
        let record = Record {
            topic: "shop.public.orders",
            partition: 3,
            offset: 41,
            timestamp_ms: Some(1_767_225_600_000),
            key: None,
            value: None,
            headers: &NoHeaders,
        };
        Change { after: Some(row), ..Change::new(record, op) }
    }

    #[test]
    fn conditions_see_the_change() {
        let create =
            change(Op::Create, r#"{"total":41.5,"n":3,"name":"Ada","tags":["a"],"x":null}"#);
        for (source, expected) in [
            (r#"op in ["create", "snapshot"] && row.total > 0"#, true),
            ("row.total > 41", true),
            ("row.n > 2.5", true),
            ("row.n == 3", true),
            ("row.name == 'Ada' && 'a' in row.tags", true),
            ("row.x == null", true),
            ("has(row.absent)", false),
            ("!has(row.absent) || row.absent > 3", true),
            ("row.name.startsWith('B')", false),
            ("row.name.matches('^A.a$')", true),
            ("partition == 3 && offset > 40 && topic == 'shop.public.orders'", true),
            ("timestamp > 0", true),
            ("before == null", true),
            ("row.tags.exists(t, t == 'a')", true),
        ] {
            let condition = Condition::compile(source).unwrap();
            assert_eq!(condition.holds(&create), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_the_source_did_not_send_is_absent() {
        let placeholder = Placeholder { text: "-no", base64: "LW5v", codes: "[45,110,111]" };
        let row = r#"{"t":"-no","b":"LW5v","a":["-no"],"c":[45,110,111],"o":["-no","x"],"n":[45]}"#;
        let plain = change(Op::Update, row);
        let update = Change { unavailable: Some(&placeholder), ..plain };
        for field in ["t", "b", "a", "c"] {
            let condition = Condition::compile(&format!("has(row.{field})")).unwrap();
            assert_eq!(condition.holds(&update), Ok(false), "{field}");
            assert_eq!(condition.holds(&plain), Ok(true), "{field}");
        }
        let others = Condition::compile("has(row.o) && has(after.n) && !has(after.t)").unwrap();
        assert_eq!(others.holds(&update), Ok(true));
        let read = Condition::compile("row.t == 'x'").unwrap();
        assert!(read.holds(&update).is_err(), "an absent field is no text");
    }

    #[test]
    fn failures_at_run_time_are_words_not_panics() {
        let create = change(Op::Create, r#"{"total":"many"}"#);
        for (source, said) in [
            ("row.absent > 0", "absent"),
            ("row.total", "not true or false"),
            ("row.total > 0", ""),
        ] {
            let error = Condition::compile(source).unwrap().holds(&create).unwrap_err();
            assert!(error.contains(said), "{source}: {error}");
            assert!(!error.contains("Arc"), "{error}");
        }
    }

    #[test]
    fn mistakes_are_found_when_compiling() {
        for (source, column, said) in [
            ("rwo.total > 0", 1, "`rwo`"),
            ("row.tags.exists(t, u == t)", 20, "`u`"),
            ("op == \"create\" && total > 0", 19, "row.total"),
        ] {
            let error = Condition::compile(source).unwrap_err();
            assert_eq!(error.column, column, "{error}");
            assert!(error.message.contains(said), "{error}");
        }
        assert!(Condition::compile("row.total >").is_err());
        assert!(Condition::compile("op in [").is_err());
    }
}
