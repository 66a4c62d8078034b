//! Installs Apache Kafka into the build directory, by way of `maven`: `<target>/kafka/<version>/libs`.

use std::path::PathBuf;

use crate::support::maven::{Package, build_directory, pinned};

const POM: &str = include_str!("pom.xml");
const POM_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka/pom.xml");

/// An installed broker: jars, and a Java that runs them.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    libs: PathBuf,
}

// === impl Installation ===

impl Installation {
    /// Returns the installation, making it first where it is missing. Blocks.
    ///
    /// # Errors
    /// What is missing or went wrong, in words that tell the remedy.
    pub(crate) fn ensure() -> Result<Self, String> {
        let package = Package {
            what: &format!("Apache Kafka {}", kafka_version()),
            pom_path: POM_PATH,
            made_from: POM,
            home: kafka_home().join(kafka_version()),
            otherwise: " Or set KAFKA_BOOTSTRAP_SERVERS to a broker that runs already; \
                        tests that stop brokers still need their own.",
        };
        Ok(Self { libs: package.ensure(|_| Ok(()))? })
    }

    /// Returns the class path of the broker and its tools.
    pub(crate) fn classpath(&self) -> String {
        format!("{}/*", self.libs.display())
    }
}

/// Returns where everything about Kafka lies in the build directory.
pub(crate) fn kafka_home() -> PathBuf {
    build_directory("kafka")
}

/// Returns the version the pom pins.
pub(crate) fn kafka_version() -> &'static str {
    pinned(POM, "kafka.version")
}
