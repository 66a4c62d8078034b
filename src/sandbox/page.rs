//! Cuts lists into pages the way the REST API does.
//!
//! # Invariants
//! - Q1: following `next` shows every item once, as long as none comes or goes.
//!
//! Not here: what is listed (`routes`).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// Page size of a client that names none, for metrics and segments alike.
const DEFAULT_LIMIT: usize = 20;

/// The query of a list.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    offset: Option<usize>,
    pub(super) sort: Option<String>,
    filter: Option<String>,
}

// === impl ListQuery ===

impl ListQuery {
    /// # Errors
    /// 400 for a page larger than `max` or of nothing, 501 for a filter: to ignore one would be to
    /// answer another question.
    pub(super) fn ensure_playable(&self, max: Option<usize>) -> Result<(), Refusal> {
        if self.filter.is_some() {
            return Err(Refusal::not_played("the sandbox does not play `filter` on lists"));
        }
        let limit = self.limit();
        match max {
            Some(max) if limit > max => {
                Err(Refusal::bad_request(format!("`limit` is {limit}, and {max} is the most")))
            }
            _ if limit == 0 => Err(Refusal::bad_request("`limit` must be at least 1")),
            _ => Ok(()),
        }
    }

    /// Answers with one page of `all`.
    pub(super) fn answer<T>(
        &self,
        path: &str,
        all: &[T],
        mut render: impl FnMut(&T) -> Value,
    ) -> Value {
        let (limit, offset) = (self.limit(), self.offset.unwrap_or(0));
        let items: Vec<_> = all.iter().skip(offset).take(limit).map(&mut render).collect();
        json!({
            "items": items,
            "totalCount": all.len(),
            "_links": self.links(path, all.len()),
        })
    }

    fn links(&self, path: &str, total: usize) -> Map<String, Value> {
        let (limit, offset) = (self.limit(), self.offset.unwrap_or(0));
        let mut links = Map::new();
        let mut link = |name: &str, offset: usize| {
            let mut href = format!("{path}?limit={limit}&offset={offset}");
            if let Some(sort) = &self.sort {
                href.push_str("&sort=");
                href.push_str(sort);
            }
            links.insert(name.to_owned(), json!({"href": href, "type": "application/json"}));
        };
        link("self", offset);
        link("first", 0);
        link("last", total.saturating_sub(1) / limit.max(1) * limit);
        if offset.saturating_add(limit) < total {
            link("next", offset.saturating_add(limit));
        }
        if offset > 0 {
            link("prev", offset.saturating_sub(limit));
        }
        links
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn following_next_shows_every_item_once_q1() {
        let all: Vec<u32> = (0..45).collect();
        let mut query = ListQuery::default();
        let mut seen = Vec::new();
        loop {
            let page = query.answer("/p", &all, |item| json!(item));
            assert_eq!(page["totalCount"], 45);
            seen.extend(page["items"].as_array().expect("items").clone());
            if page["_links"]["next"].is_null() {
                assert_eq!(page["_links"]["last"], page["_links"]["self"]);
                break;
            }
            query.offset = Some(seen.len());
            let next = format!("/p?limit=20&offset={}", seen.len());
            assert_eq!(page["_links"]["next"]["href"], next);
        }
        assert_eq!(seen, all);
    }
}
