//! Grafana, which is not run: what it is given lies where it looks, and leads to data that is there.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::declared::{Service, services};
use super::set::ProcessSet;
use crate::dashboard::{dashboards, expressions_of};
use crate::files::{path, text, yaml};
use crate::live::filled_in;
use crate::support::prometheus::Prometheus;
use crate::support::wait::eventually;

/// Where the image looks unless variables `GF_PATHS_…` say otherwise; see "Configure a Grafana Docker image"
/// in Grafana's documentation.
const PROVISIONING: &str = "/etc/grafana/provisioning";
const DATA: &str = "/var/lib/grafana";
const HOME: &str = "/usr/share/grafana";

/// What Grafana fills in for data that comes every five seconds: four times that.
const RATE_INTERVAL: &str = "20s";

/// The rows that show something while all is well.
const ROWS: [&str; 3] = ["At a glance", "Is it flowing?", "How late?"];

fn grafana(services: &[Service]) -> &Service {
    services.iter().find(|service| service.name == "grafana").unwrap()
}

/// The provisioning of one kind, with the only file it consists of.
fn provisioning(grafana: &Service, kind: &str) -> Value {
    let directory = grafana.repository_path(&format!("{PROVISIONING}/{kind}"));
    let files: Vec<_> =
        fs::read_dir(path(&directory)).unwrap().map(|it| it.unwrap().file_name()).collect();
    let [file] = &files[..] else { panic!("{directory}: {files:?}") };
    let read = yaml(&format!("{directory}/{}", file.display()));
    assert_eq!(read["apiVersion"], "1", "{directory}");
    read
}

/// Follows the data source to Prometheus, and asks what the dashboards would ask.
pub(super) async fn would_show_it(set: &ProcessSet) {
    let grafana = grafana(&set.services);
    let sources = provisioning(grafana, "datasources");
    let url = sources["datasources"][0]["url"].as_str().unwrap();
    let variable = url.strip_prefix("${").and_then(|it| it.strip_suffix('}')).expect(url);
    let prometheus =
        Prometheus::existing(&set.places.text(grafana, &grafana.environment()[variable]));
    let [overview, _] = &dashboards()[..] else { panic!("two dashboards") };
    let mut empty: BTreeSet<_> =
        ROWS.iter().flat_map(|row| expressions_of(overview, row)).collect();
    assert!(empty.len() > 15, "{empty:?}");
    eventually(super::story::PATIENCE, "the first rows to show something", async || {
        for query in empty.clone() {
            if !prometheus.query(&filled_in(&query.1, RATE_INTERVAL)).await.is_empty() {
                empty.remove(&query);
            }
        }
        if empty.is_empty() { Ok(()) } else { Err(format!("without data: {empty:#?}")) }
    })
    .await;
}

#[test]
fn what_grafana_is_given_lies_where_it_looks() {
    let services = services(&[]);
    let grafana = grafana(&services);
    let elsewhere = grafana.environment().keys().find(|name| name.starts_with("GF_PATHS_"));
    assert_eq!(elsewhere, None);
    for mount in grafana.mounts() {
        let known = [DATA, "/etc/grafana/dashboards"].contains(&mount.target.as_str())
            || mount.target.starts_with(&format!("{HOME}/public/"))
            || ["datasources", "dashboards"]
                .map(|kind| format!("{PROVISIONING}/{kind}"))
                .contains(&mount.target);
        assert!(known, "{mount:?}: nothing looks there");
    }
    assert_eq!(provisioning(grafana, "datasources")["datasources"].as_array().unwrap().len(), 1);

    let provider = &provisioning(grafana, "dashboards")["providers"][0];
    let folder = provider["options"]["path"].as_str().unwrap();
    let here = grafana.repository_path(folder);
    let mut identities = BTreeSet::new();
    for file in fs::read_dir(path(&here)).unwrap() {
        let file = format!("{here}/{}", file.unwrap().file_name().display());
        let dashboard: Value =
            serde_json::from_str(&text(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(dashboard["schemaVersion"].as_u64().is_some_and(|it| it > 30), "{file}");
        assert!(dashboard["title"].as_str().is_some_and(|it| !it.is_empty()), "{file}");
        // Grafana takes no identity of more than 40 characters.
        let uid = dashboard["uid"].as_str().unwrap();
        assert!(uid.len() <= 40 && identities.insert(uid.to_owned()), "{file}: {uid}");
    }
    assert_eq!(identities.len(), dashboards().len());
    let home = &grafana.environment()["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    assert!(path(&grafana.repository_path(home)).is_file(), "{home}");
}
