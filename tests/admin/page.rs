//! The status page, looked at in a real browser while the service is loaded.
//!
//! Leaves pictures in the build directory, under `status-page/`; the README's is one of them.

use std::path::PathBuf;

use serde_json::json;

use crate::scene::{PARTITIONS, PATIENCE, Scene};
use crate::support::browser::Browser;
use crate::support::launchdarkly::{LaunchDarkly, TOKEN};
use crate::support::service::Service;
use crate::support::wait::eventually;

/// Waits until the page shows a text.
async fn shows(browser: &mut Browser, selector: &str, wanted: &[&str]) {
    eventually(PATIENCE, &format!("{wanted:?} in {selector}"), async || {
        let text = browser.text(selector).await;
        if wanted.iter().all(|part| text.contains(part)) { Ok(()) } else { Err(text) }
    })
    .await;
}

async fn take_picture(browser: &mut Browser, name: &str) {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../status-page");
    std::fs::create_dir_all(&directory).unwrap();
    let picture = browser.picture().await;
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{name}: {}", picture.len());
    std::fs::write(directory.join(format!("{name}.png")), picture).unwrap();
}

/// Nothing runs out of the window, and everything came from the service itself.
async fn fits(browser: &mut Browser, width: u32) {
    let wide = "document.documentElement.scrollWidth - window.innerWidth";
    assert_eq!(browser.evaluate(wide).await, json!(0), "at {width}");
    let foreign = "performance.getEntriesByType('resource').map((it) => it.name)\
                   .filter((it) => !it.startsWith(location.origin + '/') && !it.startsWith('data:'))";
    assert_eq!(browser.evaluate(foreign).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_in_a_browser_what_is_going_on() {
    let scene = Scene::set().await;
    let service =
        Service::start_beside(&scene.config, &[], &[("partner-token", &format!("{TOKEN}\n"))]);
    let address = service.admin().await;
    let mut browser = Browser::open(&format!("{address}/")).await;
    browser.look_like((1200, 1000), "light").await;
    shows(&mut browser, "#state", &["ready"]).await;

    // It flows, and one record has no buyer.
    scene.produce(0..2_000).await;
    scene.produce_bad("secret-key").await;
    shows(&mut browser, "#tiles", &["2,000\nrecords delivered", "1\ndead letters"]).await;
    shows(&mut browser, "#routes", &["checkout", "metric_event", "buyers", "on"]).await;
    let rows = "document.querySelectorAll('#partitions tbody tr').length";
    assert_eq!(browser.evaluate(rows).await, json!(PARTITIONS));
    shows(&mut browser, "#partitions", &[&format!("{}[0]", scene.topic), "flows"]).await;
    shows(&mut browser, "#letters", &["missing_field", "checkout", "#"]).await;
    let all = browser.evaluate("document.documentElement.outerHTML").await.to_string();
    assert!(!all.contains("secret-key") && !all.contains("u-e-1"), "keys and values stay inside");
    assert!(!all.contains(TOKEN));
    // While more comes in, the flow is a figure.
    let mut next = 2_000;
    eventually(PATIENCE, "a flow", async || {
        scene.produce(next..next + 200).await;
        next += 200;
        let flow = browser.text("#routes tbody tr:first-child td:nth-child(6)").await;
        let figure: f64 = flow.replace(',', "").trim_end_matches("/s").parse().unwrap_or_default();
        if figure > 0.0 { Ok(()) } else { Err(flow) }
    })
    .await;

    // A token is revoked, and a person pauses a route.
    service.write("partner-token", "api-revoked\n");
    let token = Some("open-sesame-open-sesame");
    assert_eq!(service.tell(reqwest::Method::POST, "/reload", (token, "")).await.0, 200);
    scene.produce(next..next + 2_000).await;
    shows(&mut browser, "#faults", &["Not ready", "target partner", "401", "check `access_token`"])
        .await;
    shows(&mut browser, "#notices", &["lane halted", "check `access_token`"]).await;
    shows(&mut browser, "#requests", &["metric_event, partner", "401"]).await;
    shows(&mut browser, "#targets", &["halted", "misconfigured"]).await;
    let lag = "[...document.querySelectorAll('#tiles b')][2].innerText";
    eventually(PATIENCE, "the lag", async || browser.evaluate(lag).await != json!("–")).await;
    take_pictures(&mut browser).await;

    // And back.
    service.write("partner-token", &format!("{TOKEN}\n"));
    assert_eq!(service.tell(reqwest::Method::POST, "/reload", (token, "")).await.0, 200);
    shows(&mut browser, "#state", &["ready"]).await;
    shows(&mut browser, "#requests", &["No request is being made"]).await;
    assert_eq!(browser.text("#faults").await, "");
    pauses(&service, &mut browser).await;
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    assert!(service.stop().await.status.success());
    shows(&mut browser, "#state", &["no answer"]).await;
    account(&scene.production, next + 2_000).await;
}

async fn take_pictures(browser: &mut Browser) {
    for (name, size, colours) in [
        ("wide-light", (1100, 1240), "light"),
        ("wide-dark", (1100, 1240), "dark"),
        ("narrow-light", (390, 2200), "light"),
        ("narrow-dark", (390, 2200), "dark"),
    ] {
        browser.look_like(size, colours).await;
        fits(browser, size.0).await;
        take_picture(browser, name).await;
    }
    let dark = browser.evaluate("getComputedStyle(document.body).backgroundColor").await;
    browser.look_like((1200, 1000), "light").await;
    let light = browser.evaluate("getComputedStyle(document.body).backgroundColor").await;
    assert_ne!(dark, light);
}

async fn pauses(service: &Service, browser: &mut Browser) {
    let token = Some("open-sesame-open-sesame");
    let pause = service.tell(reqwest::Method::POST, "/routes/checkout/pause", (token, "")).await;
    assert_eq!(pause.0, 200, "{}", pause.1);
    shows(browser, "#routes tbody tr:first-child", &["checkout", "paused"]).await;
    shows(browser, "#partitions", &["paused by a person"]).await;
    shows(browser, "#state", &["ready, paused in part"]).await;
}

async fn account(production: &LaunchDarkly, orders: usize) {
    assert_eq!(production.count("events_counted").await, orders as u64);
}
