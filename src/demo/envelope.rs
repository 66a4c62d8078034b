//! Writes a change as Debezium's PostgreSQL connector does, without the schema block.
//!
//! Format: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html>.

use std::fmt::Write;

use super::manifest::OrderId;

/// A row of `shop.public.orders`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Order {
    pub(super) id: OrderId,
    pub(super) user: u32,
    pub(super) organization: u32,
    pub(super) total_cents: u32,
    pub(super) items: u32,
    pub(super) status: &'static str,
    pub(super) created_at_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Snapshot,
    Create,
    Update,
    Delete,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    TotalNull,
    TotalMissing,
    TotalIsText,
    NoCustomer,
    /// `created_at` is zero, as a default that somebody forgot.
    NeverCreated,
    /// The document ends in the middle.
    CutOff,
}

/// The record key of an order.
pub(super) fn write_key(order: OrderId, key: &mut String) {
    key.clear();
    // Writing to a String cannot fail.
    let written = write!(key, "{{\"id\":{order}}}");
    debug_assert!(written.is_ok());
}

/// Appends the envelope. `number` counts changes; log positions are made of it.
pub(super) fn write(
    op: Op,
    order: &Order,
    damage: Damage,
    now_ms: i64,
    number: u64,
    out: &mut String,
) {
    let start = out.len();
    let written = write_envelope(op, order, damage, now_ms, number, out);
    debug_assert!(written.is_ok());
    if damage == Damage::CutOff {
        // Everything is ASCII, so that any place is one between characters.
        out.truncate(start + (out.len() - start) * 2 / 3);
    }
}

fn write_envelope(
    op: Op,
    order: &Order,
    damage: Damage,
    now_ms: i64,
    number: u64,
    out: &mut String,
) -> std::fmt::Result {
    let (letter, snapshot) = match op {
        Op::Snapshot => ("r", "true"),
        Op::Create => ("c", "false"),
        Op::Update => ("u", "false"),
        Op::Delete => ("d", "false"),
    };
    out.push_str(r#"{"before":"#);
    if op == Op::Delete {
        write_row(order, damage, out)?;
        out.push_str(r#","after":null"#);
    } else {
        // As with the default replica identity: the old row is not logged.
        out.push_str(r#"null,"after":"#);
        write_row(order, damage, out)?;
    }
    let lsn = 24_023_128 + number * 56;
    let transaction = 770 + number / 3;
    // The connector writes a change some milliseconds after it was made; here it is the same one.
    write!(
        out,
        r#","source":{{"version":"3.2.2.Final","connector":"postgresql","name":"shop","ts_ms":{now_ms},"snapshot":"{snapshot}","db":"shop","sequence":"[\"{lsn}\",\"{lsn}\"]","ts_us":{now_ms}000,"ts_ns":{now_ms}000000,"schema":"public","table":"orders","txId":{transaction},"lsn":{lsn},"xmin":null}},"transaction":null,"op":"{letter}","ts_ms":{now_ms},"ts_us":{now_ms}412,"ts_ns":{now_ms}412907}}"#
    )
}

fn write_row(order: &Order, damage: Damage, out: &mut String) -> std::fmt::Result {
    let Order { id, user, organization, total_cents, items, status, created_at_us } = order;
    let created_at = if damage == Damage::NeverCreated { &0 } else { created_at_us };
    write!(out, r#"{{"id":{id},"user_id":""#)?;
    if damage != Damage::NoCustomer {
        write!(out, "user-{user:05}")?;
    }
    write!(out, r#"","org_id":"org-{organization:03}","status":"{status}","currency":"EUR","#)?;
    let (units, cents) = (total_cents / 100, total_cents % 100);
    match damage {
        Damage::TotalNull => out.push_str(r#""total":null,"#),
        Damage::TotalMissing => {}
        Damage::TotalIsText => write!(out, r#""total":"{units},{cents:02} EUR","#)?,
        Damage::None | Damage::NoCustomer | Damage::NeverCreated | Damage::CutOff => {
            write!(out, r#""total":{units}.{cents:02},"#)?;
        }
    }
    write!(
        out,
        r#""item_count":{items},"payment_method":"card","shipping_street":"{} Harbour Lane","shipping_city":"Port Ellery","shipping_country":"DE","coupon":null,"note":"please ring twice; the bell of flat {} is broken","channel":"web","created_at":{created_at},"updated_at":{created_at_us}}}"#,
        user % 180 + 1,
        organization % 40,
    )
}
