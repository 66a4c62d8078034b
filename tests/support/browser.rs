//! A real browser, headless, spoken to over its debugging pipe: what a person would see of a page.
//!
//! Panics are the error channel. What it needs: Chromium, under one of its usual names.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// For one answer; the first one includes the start, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A page in a browser of its own. Killed on drop.
#[derive(Debug)]
pub(crate) struct Browser {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    _profile: TempDir,
    session: Option<String>,
    next: u64,
    /// Exceptions of the page and what it complained of.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// Opens a page.
    ///
    /// # Panics
    /// When there is no browser, with what to install.
    pub(crate) async fn open(url: &str) -> Self {
        let profile = TempDir::new().unwrap();
        let program = installed();
        // The pipe is on descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 1>&2"#, &program])
            .args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        let (session, complaints) = (None, Vec::new());
        let mut browser =
            Self { _child: child, to, from, _profile: profile, session, next: 0, complaints };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", target).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await;
        }
        browser.call("Page.navigate", json!({ "url": url })).await;
        browser
    }

    /// What a JavaScript expression gives in the page.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", asked).await;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// The text of what a selector finds, as it is shown.
    pub(crate) async fn text(&mut self, selector: &str) -> String {
        let found = format!("document.querySelector({selector:?})?.innerText ?? ''");
        self.evaluate(&found).await.as_str().unwrap_or_default().to_owned()
    }

    /// Sets the window's width and the colours that the person prefers.
    pub(crate) async fn look_like(&mut self, (width, height): (u32, u32), colours: &str) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let colours = json!([{ "name": "prefers-color-scheme", "value": colours }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": colours })).await;
    }

    /// A picture of the window, as PNG.
    pub(crate) async fn picture(&mut self) -> Vec<u8> {
        let asked = json!({ "format": "png", "captureBeyondViewport": false });
        let picture = self.call("Page.captureScreenshot", asked).await;
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut request = json!({ "id": self.next, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.expect("the browser reads what it is asked");
        let answer = tokio::time::timeout(PATIENCE, self.answer());
        let answer = answer.await.unwrap_or_else(|_| panic!("{method}: no answer in {PATIENCE:?}"));
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    async fn answer(&mut self) -> Value {
        loop {
            let mut bytes = Vec::new();
            let read = self.from.read_until(0, &mut bytes).await.unwrap();
            assert!(read > 0, "the browser has ended; try it by hand: {}", installed());
            bytes.pop();
            let message: Value = serde_json::from_slice(&bytes).unwrap();
            if message["id"] == json!(self.next) {
                return message;
            }
            if matches!(
                message["method"].as_str(),
                Some("Runtime.exceptionThrown" | "Log.entryAdded")
            ) {
                self.complaints.push(message["params"].to_string());
            }
        }
    }
}

fn installed() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|directory| NAMES.map(|name| directory.join(name)))
        .find(|program| program.is_file());
    let found = found.unwrap_or_else(|| {
        panic!(
            "no browser is installed, and this test looks at the status page with one: on Debian, \
             `apt-get install --no-install-recommends chromium`"
        )
    });
    found.to_str().unwrap().to_owned()
}
