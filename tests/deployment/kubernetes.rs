//! The manifests in `config/kubernetes`: they agree with each other, with the image and with what
//! ldsink reads. Whether they have the right shape is checked in `schemas`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use ldsink::config::Config;
use serde_json::Value;
use tempfile::TempDir;

use crate::compose::{LEAVING_SECONDS, user};
use crate::files::{path, text, texts, yaml};
use crate::metrics::declared;

pub(crate) const DIRECTORY: &str = "config/kubernetes";
/// For prometheus-adapter, whose values they are.
const NOT_APPLIED: &str = "prometheus-adapter.yaml";

/// The manifests that are applied.
pub(crate) fn resources() -> Vec<String> {
    let kustomization = yaml(&format!("{DIRECTORY}/kustomization.yaml"));
    texts(&kustomization["resources"]).into_iter().map(str::to_owned).collect()
}

fn manifest(name: &str) -> Value {
    yaml(&format!("{DIRECTORY}/{name}.yaml"))
}

fn pod() -> Value {
    manifest("statefulset")["spec"]["template"]["spec"].clone()
}

fn container() -> Value {
    pod()["containers"][0].clone()
}

/// The configuration as a pod reads it.
fn configuration() -> Config {
    let variables: BTreeMap<String, String> = container()["env"]
        .as_array()
        .expect("an environment")
        .iter()
        .map(|variable| {
            let value = variable["value"].as_str().unwrap_or("ldsink-0");
            (variable["name"].as_str().unwrap().to_owned(), value.to_owned())
        })
        .collect();
    let secrets = TempDir::new().unwrap();
    fs::write(secrets.path().join("access-token"), "api-of-the-pod").unwrap();
    let mounted = mount("secrets");
    let config = text(&format!("{DIRECTORY}/ldsink.yaml"));
    assert!(config.contains(&format!("{mounted}/access-token")), "the token is mounted elsewhere");
    let config = config.replace(&mounted, secrets.path().to_str().unwrap());
    Config::parse(&config, "ldsink.yaml", &|name| variables.get(name).cloned())
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Where a volume is mounted.
fn mount(volume: &str) -> String {
    let mounts = container()["volumeMounts"].clone();
    let mut mounts = mounts.as_array().expect("mounts").iter();
    let mount = mounts.find(|mount| mount["name"] == volume).expect(volume);
    assert_eq!(mount["readOnly"], "true", "{volume}");
    mount["mountPath"].as_str().unwrap().to_owned()
}

#[test]
fn every_file_is_applied_or_said_not_to_be() {
    let mut files: BTreeSet<String> = fs::read_dir(path(DIRECTORY))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["kustomization.yaml", "ldsink.yaml", NOT_APPLIED] {
        assert!(files.remove(name), "{name}");
    }
    assert_eq!(files, resources().into_iter().collect());
    let generated = manifest("kustomization")["configMapGenerator"][0].clone();
    assert_eq!(generated["name"], pod()["volumes"][0]["configMap"]["name"]);
    assert_eq!(texts(&generated["files"]), ["ldsink.yaml"]);
}

#[test]
fn a_pod_reads_its_configuration_and_has_a_name_of_its_own() {
    let config = configuration();
    let member =
        config.kafka.properties.iter().find(|(name, _)| name == "group.instance.id").cloned();
    assert_eq!(member, Some(("group.instance.id".to_owned(), "ldsink-0".to_owned())));
    let arguments = container()["args"].clone();
    let read_from = format!("{}/ldsink.yaml", mount("config"));
    assert_eq!(texts(&arguments), ["run", "--config", read_from.as_str()]);
    let environment = container()["env"].clone();
    let name = environment.as_array().unwrap().iter().find(|it| it["name"] == "POD_NAME");
    assert_eq!(name.unwrap()["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
}

#[test]
fn a_pod_is_asked_where_it_answers_and_has_the_time_to_stop() {
    let (pod, container, config) = (pod(), container(), configuration());
    let port = &container["ports"][0];
    assert_eq!(port["containerPort"], config.admin.listen.port().to_string());
    for (probe, asked) in
        [("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")]
    {
        let get = &container[probe]["httpGet"];
        assert_eq!((&get["port"], &get["path"]), (&port["name"], &Value::from(asked)), "{probe}");
    }
    assert_eq!(manifest("service")["spec"]["ports"][0]["targetPort"], port["name"]);
    let annotations = &manifest("statefulset")["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], port["containerPort"]);
    let grace: u64 = pod["terminationGracePeriodSeconds"].as_str().unwrap().parse().unwrap();
    assert!(grace >= config.pipeline.drain_deadline.as_secs() + LEAVING_SECONDS, "{grace} s");
}

#[test]
fn a_pod_runs_with_the_least() {
    let (pod, container) = (pod(), container());
    let security = &pod["securityContext"];
    let ids = [&security["runAsUser"], &security["runAsGroup"]].map(|it| it.as_str().unwrap());
    assert_eq!(ids.join(":"), user(), "whom the image was made for");
    assert_eq!(security["runAsNonRoot"], "true");
    assert_eq!(pod["automountServiceAccountToken"], "false");
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], "true");
    assert_eq!(security["allowPrivilegeEscalation"], "false");
    assert_eq!(texts(&security["capabilities"]["drop"]), ["ALL"]);
}

#[test]
fn all_select_the_same_pods() {
    let set = manifest("statefulset");
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(set["spec"]["selector"]["matchLabels"], *labels);
    assert_eq!(manifest("service")["spec"]["selector"], *labels);
    assert_eq!(manifest("disruption-budget")["spec"]["selector"]["matchLabels"], *labels);
    assert_eq!(set["spec"]["serviceName"], manifest("service")["metadata"]["name"]);
}

#[test]
fn the_autoscaler_reads_a_metric_that_there_is() {
    let autoscaler = manifest("autoscaler");
    let target = &autoscaler["spec"]["scaleTargetRef"];
    let set = manifest("statefulset");
    assert_eq!((&target["kind"], &target["name"]), (&set["kind"], &set["metadata"]["name"]));
    assert!(set["spec"]["replicas"].is_null(), "applying the set would undo the scaling");
    let rule = yaml(&format!("{DIRECTORY}/{NOT_APPLIED}"))["rules"]["custom"][0].clone();
    let read = &autoscaler["spec"]["metrics"][0]["pods"]["metric"]["name"];
    assert_eq!(*read, rule["name"]["as"]);
    let series = rule["seriesQuery"].as_str().unwrap();
    let (metric, _) = series.split_once('{').unwrap();
    assert!(declared().contains_key(metric), "{metric} is not exported");
}
