//! The traces that records belong to, as their producers say in the header `traceparent`.
//!
//! A request has one parent, and a batch may be of many traces; so it carries a trace on only when all
//! its records are of that one. Where requests are told of as spans, the others are known as links.
//! Both follow from the records alone.
//!
//! Source: <https://www.w3.org/TR/trace-context/>.
//!
//! Not here: how a trace is told of (`telemetry::traces`).

use std::fmt;

use super::record::Headers;

/// The name of the header, in Kafka and in HTTP.
pub const TRACEPARENT: &str = "traceparent";
/// The most traces of one batch that are remembered.
pub const MOST_LINKS: usize = 64;
/// The flag of a trace that somebody keeps.
const SAMPLED: u8 = 1;

/// A well-formed `traceparent` of version 00.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub flags: u8,
}

/// Of which traces the records of a batch are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    whole: Whole,
    /// Where it is wanted to know each of them.
    links: Option<Box<Links>>,
}

/// Of which trace a batch is as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Whole {
    /// Nothing is known of any record yet.
    #[default]
    Empty,
    /// All records are of this one; the parent is the first record's.
    One(TraceParent),
    /// Of several, or of none.
    Mixed,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Links {
    /// One of each trace; those that are kept somewhere go before the others.
    known: Vec<TraceParent>,
    /// Records that a trace had no room for, or lost it.
    more: u32,
}

// === impl TraceParent ===

impl TraceParent {
    /// Finds it among a record's headers; `None` when it is absent, or is none.
    pub fn find(headers: &dyn Headers) -> Option<Self> {
        let value = |at| headers.at(at).filter(|(name, _)| *name == TRACEPARENT);
        (0..headers.count()).find_map(value)?.1.and_then(Self::parse)
    }

    /// `00-` 32 digits `-` 16 digits `-` 2 digits. Later versions may mean something else, so they are
    /// not passed on.
    fn parse(value: &[u8]) -> Option<Self> {
        let rest = value.strip_prefix(b"00-")?;
        let (trace, rest) = rest.split_at_checked(32)?;
        let (span, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
        let [flags] = bytes(rest.strip_prefix(b"-")?)?;
        let (trace, span) = (bytes(trace)?, bytes(span)?);
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, flags })
    }

    /// Whether somebody keeps the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    fn is_of(&self, other: &Self) -> bool {
        self.trace == other.trace
    }
}

impl fmt::Display for TraceParent {
    /// As it stands in a header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.span));
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The bytes of small hexadecimal digits, no more and no less than there is room for.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

// === impl Traces ===

impl Traces {
    /// Of no record yet. With `links`, each trace is remembered.
    pub fn new(links: bool) -> Self {
        Self { whole: Whole::Empty, links: links.then(Box::default) }
    }

    /// Those of some records.
    pub fn of(records: impl IntoIterator<Item = Option<TraceParent>>, links: bool) -> Self {
        let mut traces = Self::new(links);
        records.into_iter().for_each(|record| traces.note(record));
        traces
    }

    /// Takes them for a batch that is cut; what comes is another one's.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let links = self.links.is_some();
        std::mem::replace(self, Self::new(links))
    }

    /// There is one record more.
    pub fn note(&mut self, record: Option<TraceParent>) {
        self.whole = match (self.whole, record) {
            (Whole::Empty, Some(parent)) => Whole::One(parent),
            (Whole::One(first), Some(parent)) if parent.is_of(&first) => self.whole,
            _ => Whole::Mixed,
        };
        if let (Some(links), Some(record)) = (&mut self.links, record) {
            links.note(record);
        }
    }

    /// What the request carries on: the context of the one trace that all records are of.
    pub fn parent(&self) -> Option<TraceParent> {
        match self.whole {
            Whole::One(parent) => Some(parent),
            Whole::Empty | Whole::Mixed => None,
        }
    }

    /// One of each trace, as far as they are remembered.
    pub fn links(&self) -> &[TraceParent] {
        self.links.as_ref().map_or(&[], |links| &links.known)
    }

    /// How many records there are of other traces, about: one that was remembered first counts once.
    pub fn unlinked(&self) -> u32 {
        self.links.as_ref().map_or(0, |links| links.more)
    }
}

// === impl Links ===

impl Links {
    fn note(&mut self, record: TraceParent) {
        if self.known.iter().any(|known| record.is_of(known)) {
            return;
        }
        if self.known.len() < MOST_LINKS {
            return self.known.push(record);
        }
        self.more = self.more.saturating_add(1);
        // A link to what nobody keeps leads nowhere.
        let mut unkept = self.known.iter_mut().filter(|known| !known.is_sampled());
        if let Some(unkept) = unkept.next().filter(|_| record.is_sampled()) {
            *unkept = record;
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
        assert_eq!(parsed(ONE).unwrap().to_string(), ONE);
        assert!(parsed(ONE).unwrap().is_sampled() && !parsed(SAME).unwrap().is_sampled());
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
            Traces::of(texts.iter().map(|text| text.and_then(parsed)), false).parent()
        };
        assert_eq!(all(&[Some(ONE), Some(SAME)]), parsed(ONE));
        assert_eq!(all(&[Some(ONE), Some(OTHER), Some(ONE)]), None);
        assert_eq!(all(&[Some(ONE), None]), None);
        assert_eq!(all(&[None, Some(ONE)]), None);
        assert_eq!(all(&[]), None);
    }

    #[test]
    fn each_trace_is_a_link_as_long_as_there_is_room() {
        let texts = [Some(ONE), None, Some(OTHER), Some(SAME), Some(OTHER)];
        let records = || texts.iter().map(|text| text.and_then(parsed));
        let mut traces = Traces::of(records(), true);
        assert_eq!(traces.links(), [parsed(ONE).unwrap(), parsed(OTHER).unwrap()]);
        assert_eq!((traces.parent(), traces.unlinked()), (None, 0));
        assert!(Traces::of(records(), false).links().is_empty(), "nobody wants to know");
        // What is taken is forgotten, and what comes is remembered again.
        assert_eq!(traces.take().links().len(), 2);
        traces.note(parsed(SAME));
        assert_eq!(traces.links(), [parsed(SAME).unwrap()]);
    }

    #[test]
    fn traces_that_are_kept_are_linked_before_others() {
        let of = |number: u8, flags| TraceParent { trace: [number; 16], span: [1; 8], flags };
        let most = u8::try_from(MOST_LINKS).unwrap();
        let unkept = (1..=most + 6).map(|number| Some(of(number, 0)));
        let kept = (201..204).map(|number| Some(of(number, 1)));
        let traces = Traces::of(unkept.chain(kept), true);
        assert_eq!(traces.links().len(), MOST_LINKS);
        assert_eq!(traces.links().iter().filter(|link| link.is_sampled()).count(), 3);
        assert_eq!(traces.unlinked(), 9);
    }
}
