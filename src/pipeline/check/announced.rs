//! Event keys whose metrics this service defines itself: they may be asked for before LaunchDarkly
//! has them.

use std::collections::HashMap;

use tokio::time::Instant;

/// The most event keys remembered of one project. More are not remembered while these are waited for.
const MOST: usize = 10_000;

/// By project, the event keys and until when their metrics may take; for ever where the
/// configuration names them.
#[derive(Debug, Default)]
pub(super) struct Announced {
    projects: HashMap<usize, HashMap<String, Option<Instant>>>,
}

impl Announced {
    /// Remembers a key for good.
    pub(super) fn always(&mut self, project: usize, key: &str) {
        self.of(project).insert(key.to_owned(), None);
    }

    pub(super) fn until(&mut self, project: usize, key: &str, until: Instant, now: Instant) {
        let keys = self.of(project);
        // What is defined again and again costs no more than a look.
        if let Some(known) = keys.get_mut(key) {
            *known = known.map(|_| until);
            return;
        }
        if keys.len() >= MOST {
            keys.retain(|_, until| until.is_none_or(|until| now <= until));
        }
        if keys.len() < MOST {
            keys.insert(key.to_owned(), Some(until));
        }
    }

    pub(super) fn has(&self, project: usize, key: &str, now: Instant) -> bool {
        let until = self.projects.get(&project).and_then(|keys| keys.get(key));
        until.is_some_and(|until| until.is_none_or(|until| now <= until))
    }

    fn of(&mut self, project: usize) -> &mut HashMap<String, Option<Instant>> {
        self.projects.entry(project).or_default()
    }
}
