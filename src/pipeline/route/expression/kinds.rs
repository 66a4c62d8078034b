//! What kinds of value an expression may give: the types of the language, as a set.
//!
//! Fields of a row may hold anything, so that an expression's type is seldom known; what it cannot
//! be often is.

use std::fmt;
use std::ops::BitOr;

use cel::common::types::Kind;

use crate::pipeline::route::path::Root;

/// A set of kinds of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u16);

// === impl Kinds ===

impl Kinds {
    pub const BOOLEAN: Self = Self(1);
    pub const INTEGER: Self = Self(1 << 1);
    pub const UNSIGNED: Self = Self(1 << 2);
    pub const DOUBLE: Self = Self(1 << 3);
    pub const TEXT: Self = Self(1 << 4);
    pub const BYTES: Self = Self(1 << 5);
    pub const LIST: Self = Self(1 << 6);
    pub const OBJECT: Self = Self(1 << 7);
    pub const NULL: Self = Self(1 << 8);
    pub const TYPE: Self = Self(1 << 9);
    /// Of every kind: nothing is known.
    pub const ANY: Self = Self((1 << 10) - 1);
    pub const WHOLE: Self = Self(Self::INTEGER.0 | Self::UNSIGNED.0);
    pub const NUMBER: Self = Self(Self::WHOLE.0 | Self::DOUBLE.0);
    /// What JSON can hold, and null is nothing to send.
    pub const SENDABLE: Self =
        Self(Self::BOOLEAN.0 | Self::NUMBER.0 | Self::TEXT.0 | Self::LIST.0 | Self::OBJECT.0);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::TEXT, "a text"),
        (Self::WHOLE, "a whole number"),
        (Self::DOUBLE, "a floating-point number"),
        (Self::BOOLEAN, "true or false"),
        (Self::LIST, "a list"),
        (Self::OBJECT, "an object"),
        (Self::BYTES, "bytes"),
        (Self::TYPE, "a type"),
        (Self::NULL, "null"),
    ];

    /// The kinds that a part of a change may be of.
    pub(super) fn of_root(root: Root) -> Self {
        match root {
            Root::Row | Root::Before | Root::After | Root::Source => Self::OBJECT | Self::NULL,
            // A key may be any JSON.
            Root::Key => Self::ANY,
            Root::Headers => Self::OBJECT,
            Root::Topic | Root::Op => Self::TEXT,
            Root::Partition | Root::Offset => Self::INTEGER,
            Root::Timestamp => Self::INTEGER | Self::NULL,
        }
    }

    pub(super) fn of(kind: Kind) -> Self {
        [
            (Kind::Boolean, Self::BOOLEAN),
            (Kind::Int, Self::INTEGER),
            (Kind::UInt, Self::UNSIGNED),
            (Kind::Double, Self::DOUBLE),
            (Kind::String, Self::TEXT),
            (Kind::Bytes, Self::BYTES),
            (Kind::List, Self::LIST),
            (Kind::Map, Self::OBJECT),
            (Kind::NullType, Self::NULL),
            (Kind::Type, Self::TYPE),
        ]
        .into_iter()
        .find(|(known, _)| *known == kind)
        .map_or(Self::ANY, |(_, kinds)| kinds)
    }

    /// Whether both have a kind in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether a value of one may equal a value of the other: numbers of all kinds compare.
    pub(super) fn may_equal(self, other: Self) -> bool {
        self.meets(other) || (self.meets(Self::NUMBER) && other.meets(Self::NUMBER))
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// In words: `a text or a number`.
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("anything");
        }
        let is_any_number = self.meets(Self::WHOLE) && self.meets(Self::DOUBLE);
        let (known, number) = if is_any_number {
            (Self(self.0 & !Self::NUMBER.0), Some("a number"))
        } else {
            (*self, None)
        };
        let names = Self::NAMES.iter().filter(|(kinds, _)| known.meets(*kinds));
        let names: Vec<&str> = number.into_iter().chain(names.map(|(_, name)| *name)).collect();
        f.write_str(&names.join(" or "))
    }
}
