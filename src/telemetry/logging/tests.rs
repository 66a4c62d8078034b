//! What the log lets through and remembers.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

fn logging(
    limiter: &'static Limiter,
    recent: &'static Recent,
) -> (Written, impl tracing::Subscriber) {
    let written = Written::default();
    let to = written.clone();
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || to.clone());
    let filter = EnvFilter::builder().parse("debug").unwrap();
    let log = tracing_subscriber::registry()
        .with(filter)
        .with(Limited { lines, limiter })
        .with(Remember(recent));
    (written, log)
}

#[test]
fn lines_that_repeat_are_limited_counted_and_told() {
    let limiter: &'static Limiter = Box::leak(Box::default());
    let (written, log) = logging(limiter, Box::leak(Box::default()));
    tracing::subscriber::with_default(log, || {
        for n in 0..50 {
            tracing::warn!(n, "the same again");
            tracing::debug!(n, "asked for");
        }
        tracing::error!("something else");
    });
    let count = |text: &str| written.lines().iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("the same again"), 20, "L1");
    assert_eq!(count("asked for"), 50, "L2");
    assert_eq!(count("something else"), 1);
    let now = clock::now_ms();
    assert!(limiter.take_left_out(now).is_empty(), "the window is not over");
    let left_out = limiter.take_left_out(now + WINDOW_MS + 1);
    assert_eq!(left_out, [LeftOut { lines: 30, like: "the same again".to_owned() }]);
    assert!(limiter.take_left_out(now + 2 * WINDOW_MS).is_empty(), "told once");
}

#[test]
fn warnings_and_errors_are_remembered_with_their_remedy() {
    let recent: &'static Recent = Box::leak(Box::default());
    let (_, log) = logging(Box::leak(Box::default()), recent);
    tracing::subscriber::with_default(log, || {
        tracing::info!("nothing to act on");
        tracing::error!(status = 401, remedy = "check `access_token`", "lane halted");
        tracing::warn!("later");
        tracing::warn!("later");
    });
    let notices = recent.list();
    let texts: Vec<_> = notices.iter().map(|it| (it.message.as_str(), it.times)).collect();
    assert_eq!(texts, [("later", 2), ("lane halted", 1)]);
    assert_eq!(notices[1].remedy.as_deref(), Some("check `access_token`"));
    assert_eq!(notices[1].details, ["status=401"]);
}

#[test]
fn what_is_no_filter_is_refused() {
    assert_eq!(set_filter("inof"), Err(FilterError::Level("inof".to_owned())));
    assert_eq!(set_filter(" "), Err(FilterError::Form));
    assert_eq!(set_filter("ldsink=[[["), Err(FilterError::Form));
    assert_eq!(unknown_level("info,ldsink::pipeline=debug"), None);
}
