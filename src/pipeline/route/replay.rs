//! Replayed records: which routes of its topic a record is still for.
//!
//! A record that feeds several targets may be taken by one and refused by another. Its dead letter
//! names the routes that it is still for, and its replay carries their names in a header; so the
//! others, which have counted it, do not count it again (P3).
//!
//! Not here: who writes the header (`kafka::replay`).

use super::{RouteError, TopicRoutes};
use crate::model::letter::{ONLY_ROUTES, SEPARATOR};
use crate::model::outcome::RefusalReason;
use crate::model::record::Record;
use crate::model::routes::RouteSet;

impl TopicRoutes {
    /// The routes that the record is for; [`RouteSet::ALL`] unless it says otherwise.
    ///
    /// # Errors
    /// It names a route that is not here: what it was to get would be lost in silence.
    pub fn owed(&self, record: &Record<'_>) -> Result<RouteSet, RouteError> {
        let last_first = (0..record.headers.count()).rev();
        let Some(named) = last_first
            .filter_map(|index| record.headers.at(index))
            .find_map(|(name, value)| if name == ONLY_ROUTES { value } else { None })
        else {
            return Ok(RouteSet::ALL);
        };
        let named = String::from_utf8_lossy(named);
        named.split(SEPARATOR).try_fold(RouteSet::NONE, |set, name| {
            let place = self.names.iter().position(|known| **known == *name.trim());
            place.map(|place| set.and(RouteSet::of(place))).ok_or_else(|| RouteError {
                reason: RefusalReason::UnknownRoute,
                detail: format!(
                    "the record was replayed for the route `{}`, which does not read its topic",
                    name.trim().escape_debug()
                ),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::record::{OwnedRecord, Partition};
    use crate::pipeline::route::Router;

    const CONFIG: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: api-1, project: p, environment: production }
routes:
  - { name: a, topics: [t], format: json, metric_event: { target: production, key: k, context: { user: $.row.u } } }
  - { name: elsewhere, topics: [o], format: json, metric_event: { target: production, key: k, context: { user: $.row.u } } }
  - { name: b, topics: [t], format: json, metric_event: { target: production, key: k, context: { user: $.row.u } } }
"#;

    #[test]
    fn the_last_header_names_the_routes_and_an_unknown_one_is_refused() {
        let config = Config::parse(CONFIG, "t.yaml", &|_| None).unwrap();
        let routes = Router::new(&config.pipeline.routes).topic("t").unwrap();
        let owed = |names: &[&str]| {
            let header = |it: &&str| (ONLY_ROUTES.to_owned(), Some(it.as_bytes().to_vec()));
            let record = OwnedRecord {
                partition: Partition::new("t", 0),
                offset: 0,
                timestamp_ms: None,
                key: None,
                value: None,
                headers: names.iter().map(header).collect(),
            };
            routes.owed(&record.lend())
        };
        assert_eq!(owed(&[]), Ok(RouteSet::ALL));
        assert_eq!(owed(&["b"]), Ok(RouteSet::of(1)));
        assert_eq!(owed(&["a", "b"]), Ok(RouteSet::of(1)));
        assert_eq!(owed(&["b, a"]), Ok(RouteSet::of(0).and(RouteSet::of(1))));
        for strange in ["elsewhere", "b,c", ""] {
            assert_eq!(owed(&[strange]).unwrap_err().reason, RefusalReason::UnknownRoute);
        }
    }
}
