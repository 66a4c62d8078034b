//! The section `targets`, and the tokens.

use std::fs;

use ldsink::config::Config;
use secrecy::ExposeSecret;

use crate::base::{BASE, parse, replaced, said};

#[test]
fn tokens_are_what_launchdarkly_takes() {
    for (token, problem) in [
        ("Bearer api-very-secret", "begins with `Bearer`; give the raw token alone"),
        (
            "sdk-very-secret",
            "is an SDK or mobile key; \
             these APIs take access tokens only: create one in the account's settings",
        ),
        (
            "mob-very-secret",
            "is an SDK or mobile key; \
             these APIs take access tokens only: create one in the account's settings",
        ),
        ("'very secret'", "has blanks or unprintable characters; give the raw token on one line"),
        ("${EMPTY}", "is empty; give it a value"),
    ] {
        let expected = format!("6:19: targets.main.access_token: {problem}");
        replaced("api-very-secret", token, &[&expected]);
    }
    replaced(
        "    access_token: api-very-secret\n",
        "",
        &["5:3: targets.main.access_token: is missing; \
           give it, best as ${LD_ACCESS_TOKEN}, or give access_token_file"],
    );
    replaced(
        "    project",
        "    access_token_file: token\n    project",
        &["7:24: targets.main.access_token_file: stands beside access_token; keep one of the two"],
    );
}

#[test]
fn a_token_is_read_from_a_file_beside_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ldsink.yaml");
    let text = BASE.replace("access_token: api-very-secret", "access_token_file: token");
    fs::write(&path, &text).unwrap();
    let load = |token: &str| {
        fs::write(directory.path().join("token"), token).unwrap();
        Config::load(&path)
    };
    let config = load("api-of-the-file\n").unwrap();
    assert_eq!(config.targets[0].access_token.expose_secret(), "api-of-the-file");
    for (token, said) in [("\n", "holds no token"), ("a\nb", "has blanks")] {
        let error = load(token).unwrap_err().to_string();
        assert!(
            error.contains(&format!(":6:24: targets.main.access_token_file: {said}")),
            "{error}"
        );
    }
    said(
        &text.replace("access_token_file: token", "access_token_file: nowhere/token"),
        &["6:24: targets.main.access_token_file: `nowhere/token` does not exist; \
           a relative path starts from the directory of this file"],
    );
}

#[test]
fn targets_are_complete_and_encrypted() {
    let more = |lines: &str, expected: &[&str]| {
        replaced("project: storefront", &format!("project: storefront\n    {lines}"), expected);
    };
    more(
        "instance: comercial",
        &["8:15: targets.main.instance: `comercial` is no choice here; did you mean `commercial`?"],
    );
    more(
        "company: a-b",
        &["8:14: targets.main.company: `a-b` has characters that are not allowed; \
           use ASCII letters, digits and `_`"],
    );
    more(
        "events_url: http://localhost:99",
        &["8:17: targets.main.events_url: is only half of the address; \
           give api_url too, or choose an instance"],
    );
    more(
        "instance: eu\n    events_url: http://127.0.0.1:99/\n    api_url: http://localhost",
        &["8:15: targets.main.instance: stands beside events_url and api_url; keep one of the two"],
    );
    more(
        "events_url: http://proxy.example.com\n    api_url: ftp://example.com",
        &[
            "8:17: targets.main.events_url: `http://proxy.example.com` \
             would carry the token in clear over the network; use https://",
            "9:14: targets.main.api_url: `ftp://example.com` is no web address; \
             start it with https://",
        ],
    );
    more(
        "events_url: nowhere\n    api_url: https://user:secret@example.com",
        &[
            "8:17: targets.main.events_url: `nowhere` is not a URL; \
             write it like https://events.launchdarkly.com",
            "9:14: targets.main.api_url: the value (not shown) holds a user or a password; \
             remove what stands before the `@`",
        ],
    );
    replaced(
        "project: storefront",
        "project: My Shop",
        &["7:14: targets.main.project: `My Shop` has characters that are not allowed; \
           give the project's key, not its title"],
    );
    let text = BASE.replace("project: storefront", "project: storefront\n    instance: eu");
    let targets = parse(&text).unwrap().targets;
    assert_eq!(targets[0].events_url, "https://events.eu.launchdarkly.com");
    let urls = "project: x\n    events_url: http://[::1]:99/base/\n    api_url: HTTPS://a.example";
    let targets = parse(&BASE.replace("project: storefront", urls)).unwrap().targets;
    assert_eq!(targets[0].events_url, "http://[::1]:99/base");
    assert_eq!(targets[0].api_url, "https://a.example");
}

#[test]
fn the_admin_token_is_one_and_no_short_one() {
    let given = "admin: { token: open-sesame-open-sesame }\n";
    let config = parse(&format!("{BASE}{given}")).unwrap();
    let token = config.admin.token.as_ref().unwrap();
    assert_eq!(token.expose_secret(), "open-sesame-open-sesame");
    assert!(!format!("{config:?}").contains("open-sesame"));
    assert_eq!(config.effective["admin.token"], "[redacted]");
    let short = "is no token that nobody guesses";
    for (given, wanted) in [
        ("admin: { token: sesame }\n", short),
        ("admin: { token: \"open sesame open sesame\" }\n", short),
        ("admin: { token: open-sesame-open-sesame, token_file: t }\n", "stands beside token"),
        ("admin: { token_file: nowhere }\n", "`nowhere` does not exist"),
    ] {
        let mistakes = parse(&format!("{BASE}{given}")).unwrap_err().to_string();
        assert!(mistakes.contains(wanted) && !mistakes.contains("sesame"), "{mistakes}");
    }
}
