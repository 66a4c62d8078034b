//! What the images bring, native: their programs, and what they run when they are told nothing.
//!
//! For our own image that is read from its Dockerfile. For Kafka's it is the image's own set-up (a class of
//! the broker's jar, in the image's version, which makes `server.properties` out of the variables and
//! formats the volume), the broker, and its command-line tools under their names. For Prometheus' it is
//! Debian's program with the arguments of the image.
//!
//! Grafana is not here: no package of it can be had.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::compose::DOCKERFILE;
use crate::files::text;
use crate::support::maven::{Package, build_directory, pinned};

use super::declared::Service;
use super::places::Places;

const POM: &str = include_str!("pom.xml");
const POM_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deployment/process_set/pom.xml");

const KAFKA: &str = "apache/kafka";
const PROMETHEUS: &str = "prom/prometheus";
const OURS: &str = "ldsink";

const KAFKA_TOOLS: &str = "/opt/kafka/bin";
const KAFKA_RUN: &str = "/etc/kafka/docker/run";
/// The tools that are used, and their classes.
const TOOLS: [(&str, &str); 3] = [
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-console-producer.sh", "org.apache.kafka.tools.ConsoleProducer"),
    ("kafka-broker-api-versions.sh", "org.apache.kafka.tools.BrokerApiVersionsCommand"),
];

/// The defaults of Prometheus' image, and of Prometheus where the image leaves something to it.
const PROMETHEUS_RUN: [&str; 5] = [
    "prometheus",
    "--config.file=/etc/prometheus/prometheus.yml",
    "--storage.tsdb.path=/prometheus",
    "--web.listen-address=0.0.0.0:9090",
    "--log.level=warn",
];

/// Whether there is a native stand-in for the image.
pub(super) fn is_native(service: &Service) -> bool {
    [KAFKA, PROMETHEUS, OURS].contains(&service.image().0)
}

/// The image's directories that commands name, beside what is mounted.
pub(super) fn directories(service: &Service) -> Vec<&'static str> {
    if service.image().0 == KAFKA {
        vec![KAFKA_TOOLS, "/etc/kafka", "/mnt/shared/config"]
    } else {
        Vec::new()
    }
}

/// What the service runs: its command, or the image's.
pub(super) fn command(service: &Service) -> Vec<String> {
    let given = service.command();
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match service.image().0 {
        KAFKA if given.is_empty() => own(&[KAFKA_RUN]),
        KAFKA => given,
        PROMETHEUS => [own(&PROMETHEUS_RUN), given].concat(),
        OURS => {
            [instruction("ENTRYPOINT"), if given.is_empty() { instruction("CMD") } else { given }]
                .concat()
        }
        other => panic!("{other} has no native stand-in"),
    }
}

/// What is told to programs beside the declared variables.
pub(super) fn variables(service: &Service, places: &Places) -> Option<(String, String)> {
    // The scripts would look where the image has the tools.
    let script = service.image().0 == KAFKA && !service.command().is_empty();
    script.then(|| ("KAFKA_TOOLS".to_owned(), places.text(service, KAFKA_TOOLS)))
}

/// A command with the address that it leaves to the program's default.
pub(super) fn complete(command: &[String]) -> Vec<String> {
    let mut complete = command.to_owned();
    if command == ["ldsink", "health"] {
        let help =
            Command::new(env!("CARGO_BIN_EXE_ldsink")).args(["health", "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let (_, default) = help.split_once("[default: http").expect("an address");
        let (default, _) = default.split_once(']').unwrap();
        complete.extend(["--url".to_owned(), format!("http{default}")]);
    }
    complete
}

/// An instruction of our Dockerfile, in its form as a list.
fn instruction(name: &str) -> Vec<String> {
    let dockerfile = text(DOCKERFILE);
    let mut lines = dockerfile.lines().filter_map(|line| line.strip_prefix(name));
    serde_json::from_str(lines.next_back().unwrap_or_else(|| panic!("no {name}"))).expect(name)
}

/// Puts the image's programs below the service's root. Blocks.
pub(super) fn install(service: &Service, places: &Places) {
    let root = places.root(service);
    let programs = root.join("usr/local/bin");
    fs::create_dir_all(&programs).unwrap();
    // In a container it sees the container's processes only.
    let group = root.join("pid");
    script(
        &programs.join("pgrep"),
        &format!(r#"exec /usr/bin/pgrep --pgroup "$(<{})" "$@""#, group.display()),
    );
    match service.image().0 {
        KAFKA => install_kafka(&root),
        OURS => symlink(env!("CARGO_BIN_EXE_ldsink"), programs.join("ldsink")).unwrap(),
        _ => {}
    }
}

fn install_kafka(root: &Path) {
    let version = pinned(POM, "kafka.version");
    let package = Package {
        what: &format!("what the image of Apache Kafka {version} holds"),
        pom_path: POM_PATH,
        made_from: POM,
        home: build_directory("kafka-image").join(version),
        otherwise: "",
    };
    let libs = package.ensure(|_| Ok(())).unwrap_or_else(|reason| panic!("{reason}"));

    let within = |directory: &str| root.join(directory.trim_start_matches('/'));
    let tools = within(KAFKA_TOOLS);
    for directory in [
        &tools,
        &within("/etc/kafka/docker"),
        &within("/opt/kafka/config"),
        &within("/mnt/shared/config"),
    ] {
        fs::create_dir_all(directory).unwrap();
    }
    let class = tools.join("kafka-run-class.sh");
    script(&class, &RUN_CLASS.replace("LIBS", &libs.display().to_string()));
    for (tool, name) in TOOLS {
        script(&tools.join(tool), &format!(r#"exec {} {name} "$@""#, class.display()));
    }
    // The defaults that variables replace, and the logging that this one configures otherwise.
    for file in ["server.properties", "log4j2.yaml", "tools-log4j2.yaml"] {
        fs::write(within("/etc/kafka/docker").join(file), "").unwrap();
    }
    script(&within(KAFKA_RUN), &RUN_BROKER.replace("ROOT", &root.display().to_string()));
}

/// As Kafka's script of that name. A quick start matters more here than peak speed: no optimising compiler,
/// no threads for collecting garbage.
const RUN_CLASS: &str = r#"exec java $KAFKA_HEAP_OPTS -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn \
    -Dorg.slf4j.simpleLogger.log.org.apache.kafka.coordinator=warn \
    -cp "LIBS/*" "$@""#;

/// As the image begins: a volume that has been formatted stays as it is.
const RUN_BROKER: &str = r#"class=ROOT/opt/kafka/bin/kafka-run-class.sh
config=ROOT/opt/kafka/config
if ! said=$("$class" kafka.docker.KafkaDockerWrapper setup --default-configs-dir ROOT/etc/kafka/docker \
    --mounted-configs-dir ROOT/mnt/shared/config --final-configs-dir "$config" 2>&1); then
    printf '%s\n' "$said"
    [[ $said == *"already formatted"* ]] || exit 1
fi
exec "$class" kafka.Kafka "$config/server.properties""#;

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/bash\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn kafka_is_the_version_of_the_image() {
    let services = super::declared::services(&[]);
    let versions = services.iter().map(Service::image).filter(|(image, _)| *image == KAFKA);
    let versions: Vec<&str> = versions.map(|(_, version)| version).collect();
    assert_eq!(versions, [pinned(POM, "kafka.version"); 3]);
}
