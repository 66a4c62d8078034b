//! Knows which projects and environments there are, and their client-side IDs.
//!
//! An environment without a configured client-side ID has a derived one. A derived ID cannot be
//! turned back into its environment, so where every environment exists, an ID leads somewhere only
//! once it has been handed out.
//!
//! # Invariants
//! - W1: an ID that was handed out leads back to its environment.

use std::collections::{HashMap, HashSet};

use super::identifiers::object_id;
use super::operation::Target;
use super::refusal::Refusal;
use super::settings::ClientSideId;

/// The environments of an account.
#[derive(Debug)]
pub(super) struct Environments {
    /// `None`: all there could be.
    known: Option<HashSet<Target>>,
    by_id: HashMap<String, Target>,
    ids: HashMap<Target, String>,
}

// === impl Environments ===

impl Environments {
    pub(super) fn new(known: Option<Vec<(String, String)>>, ids: Vec<ClientSideId>) -> Self {
        let target = |(project, environment)| Target { project, environment };
        let known: Option<HashSet<_>> = known.map(|all| all.into_iter().map(target).collect());
        let mut environments = Self { known: None, by_id: HashMap::new(), ids: HashMap::new() };
        for ClientSideId { id, project, environment } in ids {
            environments.assign(id, Target { project, environment });
        }
        for target in known.iter().flatten() {
            environments.client_side_id(target);
        }
        Self { known, ..environments }
    }

    /// Returns the environment's client-side ID, which from now on leads back to it (W1).
    pub(super) fn client_side_id(&mut self, target: &Target) -> String {
        if let Some(id) = self.ids.get(target) {
            return id.clone();
        }
        let id = object_id(&["environment", &target.project, &target.environment]);
        self.assign(id.clone(), target.clone());
        id
    }

    fn assign(&mut self, id: String, target: Target) {
        self.by_id.insert(id.clone(), target.clone());
        self.ids.insert(target, id);
    }

    /// # Errors
    /// 404 for an ID that no environment has. LaunchDarkly does not document its answer.
    pub(super) fn by_client_side_id(&self, id: &str) -> Result<&Target, Refusal> {
        self.by_id.get(id).ok_or_else(|| {
            Refusal::not_found(format!(
                "no environment has the client-side ID {id}; \
                 GET /sandbox/client-side-ids/{{project}}/{{environment}} tells one"
            ))
        })
    }

    /// # Errors
    /// 404 for a project or environment that is not known.
    pub(super) fn ensure_known(&self, target: &Target) -> Result<(), Refusal> {
        let known = self.known.as_ref().is_none_or(|known| known.contains(target));
        let Target { project, environment } = target;
        known.then_some(()).ok_or_else(|| {
            Refusal::not_found(format!("project {project} has no environment {environment}"))
        })
    }

    /// # Errors
    /// 404 for a project that is not known.
    pub(super) fn ensure_project_known(&self, project: &str) -> Result<(), Refusal> {
        let known = self.known.as_ref();
        let known = known.is_none_or(|all| all.iter().any(|target| target.project == project));
        known.then_some(()).ok_or_else(|| Refusal::not_found(format!("no project {project}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(environment: &str) -> Target {
        Target { project: "shop".to_owned(), environment: environment.to_owned() }
    }

    #[test]
    fn ids_lead_back_once_handed_out_w1() {
        let configured = ClientSideId {
            id: "5f0000000000000000000abc".to_owned(),
            project: "shop".to_owned(),
            environment: "test".to_owned(),
        };
        let mut environments = Environments::new(None, vec![configured]);
        assert_eq!(environments.client_side_id(&target("test")), "5f0000000000000000000abc");
        let derived = object_id(&["environment", "shop", "production"]);
        environments.by_client_side_id(&derived).expect_err("not handed out");
        assert_eq!(environments.client_side_id(&target("production")), derived);
        assert_eq!(environments.by_client_side_id(&derived).expect("known"), &target("production"));
    }

    #[test]
    fn named_environments_have_their_ids_from_the_start() {
        let named = vec![("shop".to_owned(), "test".to_owned())];
        let environments = Environments::new(Some(named), Vec::new());
        let derived = object_id(&["environment", "shop", "test"]);
        environments.by_client_side_id(&derived).expect("known");
        environments.ensure_known(&target("production")).expect_err("not named");
        environments.ensure_project_known("shop").expect("named");
        environments.ensure_project_known("other").expect_err("not named");
    }
}
