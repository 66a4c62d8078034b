//! The trace that records belong to, as their producer says in the header `traceparent`.
//!
//! A request has one parent, and a batch may be of many traces; so it carries a trace on only when all
//! its records are of that one. It follows from the records alone, so that a request that is made again
//! is the same.
//!
//! Source: <https://www.w3.org/TR/trace-context/>.

use super::record::Headers;

/// The name of the header, in Kafka and in HTTP.
pub const TRACEPARENT: &str = "traceparent";
/// `00-` 32 digits `-` 16 digits `-` 2 digits.
const LENGTH: usize = 55;
/// Where the trace's ID ends.
const TRACE: usize = 35;

/// A well-formed `traceparent` of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent([u8; LENGTH]);

/// Of which trace a batch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trace {
    /// Nothing is known of any record yet.
    #[default]
    Empty,
    /// All records are of this one; the parent is the first record's.
    One(TraceParent),
    /// Of several, or of none.
    Mixed,
}

impl TraceParent {
    /// Finds it among a record's headers; `None` when it is absent, or is none.
    pub fn find(headers: &dyn Headers) -> Option<Self> {
        let value = |at| headers.at(at).filter(|(name, _)| *name == TRACEPARENT);
        (0..headers.count()).find_map(value)?.1.and_then(Self::parse)
    }

    /// Later versions may mean something else, so they are not passed on.
    fn parse(value: &[u8]) -> Option<Self> {
        let bytes: [u8; LENGTH] = value.try_into().ok()?;
        let is_digit = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        let mut parts = bytes.split(|b| *b == b'-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (parent, flags) = (parts.next()?, parts.next()?);
        let is_id = |id: &[u8], length| {
            id.len() == length && id.iter().all(is_digit) && id.iter().any(|b| *b != b'0')
        };
        let is_one = version == b"00"
            && is_id(trace, 32)
            && is_id(parent, 16)
            && flags.len() == 2
            && flags.iter().all(is_digit);
        (is_one && parts.next().is_none()).then_some(Self(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn is_of(&self, other: &Self) -> bool {
        self.0.get(..TRACE) == other.0.get(..TRACE)
    }
}

impl Trace {
    /// The same with one record more.
    #[must_use]
    pub fn with(self, record: Option<TraceParent>) -> Self {
        match (self, record) {
            (Self::Empty, Some(parent)) => Self::One(parent),
            (Self::One(first), Some(parent)) if parent.is_of(&first) => self,
            _ => Self::Mixed,
        }
    }

    /// What the request carries on.
    pub fn parent(&self) -> Option<&TraceParent> {
        match self {
            Self::One(parent) => Some(parent),
            Self::Empty | Self::Mixed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const SAME: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00";
    const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    struct With<'h>(&'h [(&'h str, Option<&'h str>)]);

    impl Headers for With<'_> {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn at(&self, index: usize) -> Option<(&str, Option<&[u8]>)> {
            let (name, value) = self.0.get(index)?;
            Some((name, value.map(str::as_bytes)))
        }
    }

    fn parsed(text: &str) -> Option<TraceParent> {
        TraceParent::parse(text.as_bytes())
    }

    #[test]
    fn only_what_is_well_formed_is_one() {
        assert_eq!(parsed(ONE).unwrap().as_bytes(), ONE.as_bytes());
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\n-01",
            "00-0af7651916cd43dd-448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
        let found = TraceParent::find(&With(&[("a", None), (TRACEPARENT, Some(ONE))]));
        assert_eq!(found, parsed(ONE));
        assert_eq!(TraceParent::find(&With(&[(TRACEPARENT, None)])), None);
        assert_eq!(TraceParent::find(&With(&[("Traceparent", Some(ONE))])), None);
    }

    #[test]
    fn a_batch_is_of_a_trace_when_all_its_records_are() {
        let all = |texts: &[Option<&str>]| {
            let with = |trace: Trace, text: Option<&str>| trace.with(text.and_then(parsed));
            texts.iter().copied().fold(Trace::default(), with).parent().copied()
        };
        assert_eq!(all(&[Some(ONE), Some(SAME)]), parsed(ONE));
        assert_eq!(all(&[Some(ONE), Some(OTHER), Some(ONE)]), None);
        assert_eq!(all(&[Some(ONE), None]), None);
        assert_eq!(all(&[None, Some(ONE)]), None);
        assert_eq!(all(&[]), None);
    }
}
