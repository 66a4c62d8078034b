//! The program, run in a directory of its own with a configuration of every kind of route.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub(crate) const CONFIG: &str = r#"
kafka: { bootstrap_servers: "${BOOTSTRAP}", group_id: "${GROUP}", startup_timeout: 30s }
targets:
  production: { access_token: "${SECRET_TOKEN}", project: shop, environment: production }
routes:
  - name: count
    topics: [orders]
    format: json
    when: row.total > 0
    metric_event:
      target: production
      key: order
      context: { user: $.row.user }
      value: $.row.total
  - name: size
    topics: [orders]
    format: json
    metric_event: { target: production, key: size, context: { user: $.row.user } }
  - name: big
    topics: [members]
    format: json
    segment_member:
      target: production
      segment: $.row.segment
      context_key: $.row.user
      member: row.active
      create: true
  - name: standard
    topics: [members]
    format: json
    segment_member:
      target: production
      segment: staff
      context_key: $.row.user
      kind: standard
      list: excluded
  - name: synced
    topics: [members]
    format: json
    segment_member:
      target: production
      segment: cohort
      context_key: $.row.user
      kind: synced
      synced: { integration_key: segment-audiences, client_side_id: 5f00 }
unmatched: dead_letter
delivery: { gzip: false }
"#;

pub(crate) const TOKEN: &str = "api-0123456789-secret";

/// A directory with a configuration and other files.
pub(crate) struct Files(pub(crate) TempDir);

impl Files {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    pub(crate) fn run(&self, args: &[&str], stdin: &str) -> Ran {
        run(self.0.path(), args, stdin, &[])
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(
    directory: &Path,
    args: &[&str],
    stdin: &str,
    environment: &[(&str, &str)],
) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .args(args)
        .current_dir(directory)
        .env_remove("LD_ACCESS_TOKEN")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Ran {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}
