//! Which topics a route reads: one by its name, or all whose names match a pattern.
//!
//! A pattern is matched by the group's brokers or by Kafka's client, and by us again for every topic
//! they find. Their languages of regular expressions differ in whether a match may begin or end in
//! the middle, so patterns say both: they begin with `^` and end with `$`.

use std::fmt;

use regex::Regex;

/// A topic's name, or a pattern of names.
#[derive(Clone)]
pub struct TopicSelector {
    text: String,
    pattern: Option<Regex>,
}

/// What marks a pattern.
const PATTERN: char = '^';
/// How the names of Kafka's own topics begin; no pattern matches them.
const INTERNAL: &str = "__";

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicPatternError {
    #[error("the pattern does not end with `$`, so that brokers and clients take it differently")]
    Open,
    #[error("the pattern is no regular expression: {0}")]
    Malformed(String),
}

impl TopicSelector {
    /// Reads a name, or a pattern when it begins with `^`.
    ///
    /// # Errors
    /// What is wrong with the pattern. Names are not checked.
    pub fn parse(text: &str) -> Result<Self, TopicPatternError> {
        let pattern = if text.starts_with(PATTERN) {
            if !text.ends_with('$') {
                return Err(TopicPatternError::Open);
            }
            let cause = |error: regex::Error| {
                // The last line of the library's message; the others draw the pattern.
                let message = error.to_string();
                let line = message.lines().last().unwrap_or_default();
                TopicPatternError::Malformed(line.trim_start_matches("error: ").to_owned())
            };
            Some(Regex::new(text).map_err(cause)?)
        } else {
            None
        };
        Ok(Self { text: text.to_owned(), pattern })
    }

    /// As it was written, and as Kafka's client takes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    pub fn selects(&self, topic: &str) -> bool {
        match &self.pattern {
            Some(pattern) => !topic.starts_with(INTERNAL) && pattern.is_match(topic),
            None => self.text == topic,
        }
    }
}

impl PartialEq for TopicSelector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicSelector {}

impl fmt::Debug for TopicSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for TopicSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_themselves_and_patterns_all_they_match_as_a_whole() {
        let name = TopicSelector::parse("shop.orders").unwrap();
        assert!(name.selects("shop.orders") && !name.selects("shop-orders"));
        let pattern = TopicSelector::parse(r"^shop\.public\.[a-z]+$").unwrap();
        assert!(pattern.is_pattern() && pattern.selects("shop.public.orders"));
        assert!(!pattern.selects("shop.public.orders.dead") && !pattern.selects("a.shop.public.b"));
        assert!(!TopicSelector::parse("^.*$").unwrap().selects("__consumer_offsets"));
    }

    #[test]
    fn patterns_that_would_be_taken_differently_are_refused() {
        assert_eq!(TopicSelector::parse("^shop.*"), Err(TopicPatternError::Open));
        let error = TopicSelector::parse("^shop.(a$").unwrap_err();
        assert_eq!(error.to_string(), "the pattern is no regular expression: unclosed group");
    }
}
