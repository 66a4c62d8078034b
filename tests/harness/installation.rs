//! What needs no broker: reading versions.

use crate::support::kafka::kafka_version;
use crate::support::maven::java_release;

#[test]
fn the_release_is_read_from_every_form_of_javas_banner() {
    let banners = [
        ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment", Some(17)),
        ("openjdk version \"21\" 2023-09-19", Some(21)),
        ("openjdk version \"25-ea\" 2025-09-16", Some(25)),
        ("java version \"1.8.0_392\"", Some(8)),
        ("Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version \"17.0.1\"", Some(17)),
        ("command not found", None),
        ("", None),
    ];
    for (banner, release) in banners {
        assert_eq!(java_release(banner), release, "{banner}");
    }
}

#[test]
fn the_pom_pins_a_release() {
    let parts: Vec<_> = kafka_version().split('.').map(str::parse::<u32>).collect();
    assert!(parts.len() == 3 && parts.iter().all(Result::is_ok), "{}", kafka_version());
}
