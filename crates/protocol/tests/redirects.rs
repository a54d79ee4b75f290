//! Where redirects lead: a table of what was sent, what came back, and what is sent next.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use protocol::redirect::{self, MAX_LOCATION_BYTES, Next, RedirectError};
use protocol::{Parts, Protocol, http1::Http1};

fn parts<'a>(method: &'a str, url: &'a str, headers: &'a [(String, String)]) -> Parts<'a> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let (body, user_agent, expects_continue) = (&b"body"[..], "", false);
    Parts { method, scheme, authority, path, headers, body, user_agent, expects_continue }
}

fn next(method: &str, url: &str, status: u16, location: &str) -> Next {
    let next = redirect::next(&parts(method, url, &[]), status, location.as_bytes());
    next.unwrap_or_else(|error| panic!("{location:?}: {error}"))
}

/// The whole URL that `location` leads to from `base`.
fn leads(base: &str, location: &str) -> String {
    let next = next("GET", base, 302, location);
    format!("{}://{}{}", next.scheme, next.authority(), next.path)
}

#[test]
fn methods_change_as_in_browsers() {
    let table = [
        (301, "GET", "GET"),
        (301, "POST", "GET"),
        (301, "PUT", "PUT"),
        (301, "HEAD", "HEAD"),
        (302, "POST", "GET"),
        (302, "DELETE", "DELETE"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (303, "GET", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ];
    for (status, old, new) in table {
        let next = next(old, "http://h/", status, "/x");
        assert_eq!((next.method.as_str(), next.keeps_body), (new, new == old), "{status} {old}");
    }
    let followed: Vec<u16> = (100..600).filter(|status| redirect::is_redirect(*status)).collect();
    assert_eq!(followed, [301, 302, 303, 307, 308]);
}

/// RFC 3986, 5.4, as far as it is of the web, and what targets send beside it.
#[test]
fn references_are_resolved() {
    let base = "http://a/b/c/d;p?q";
    let table = [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g?y#s", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g/../h", "http://a/h"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("http://other.test", "http://other.test/"),
        ("HTTP://Other.Test:80/A?b=%2f", "http://other.test/A?b=%2f"),
        ("https://other.test:8443/x", "https://other.test:8443/x"),
        ("https://other.test:443", "https://other.test/"),
        ("http://other.test:/", "http://other.test/"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("http://u:p@h/x", "http://h/x"),
        (" /trimmed ", "http://a/trimmed"),
        ("/a b/é?x={\"y\"}|[1]", "http://a/a%20b/%C3%A9?x=%7B%22y%22%7D%7C%5B1%5D"),
        ("/100%", "http://a/100%25"),
        ("/a?next=http://x/[y]", "http://a/a?next=http://x/%5By%5D"),
    ];
    for (location, expected) in table {
        assert_eq!(leads(base, location), expected, "{location:?}");
    }
    assert_eq!(leads("http://h:8080/{a}|b?[c]", "d"), "http://h:8080/d");
    assert_eq!(leads("http://h/{a}?[c]", "#x"), "http://h/%7Ba%7D?%5Bc%5D");
    assert_eq!(redirect::next(&parts("OPTIONS", "http://h/", &[]), 308, b"x").unwrap().path, "/x");
}

#[test]
fn what_leads_nowhere_is_an_error() {
    let fault =
        |location: &[u8]| redirect::next(&parts("GET", "http://a/b", &[]), 302, location).unwrap_err();
    for location in ["ftp://h/", "mailto:x@y", "javascript:alert(1)", "file:///etc/passwd", "data:,x"] {
        assert_eq!(fault(location.as_bytes()), RedirectError::Scheme(location.to_owned()));
    }
    for location in ["http://", "http:///x", "http://h:99999/", "http://h:x/", "http://[::1/", "//", "http:x"]
    {
        assert_eq!(fault(location.as_bytes()), RedirectError::Location(location.to_owned()), "{location}");
    }
    let long = vec![b'x'; MAX_LOCATION_BYTES + 1];
    assert_eq!(fault(&long), RedirectError::Location("x".repeat(200)));
}

#[test]
fn what_belongs_to_an_origin_stays_there() {
    let names = ["Authorization", "cookie", "Host", "Origin", "Referer", "X-Mine", "Content-Type"];
    let headers: Vec<_> = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
    let kept = |status: u16, base: &str, location: &str| {
        let next = redirect::next(&parts("POST", base, &headers), status, location.as_bytes()).unwrap();
        let kept: Vec<String> = next.headers.into_iter().map(|(name, _)| name).collect();
        (next.changes_origin, kept)
    };
    let all: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let without_body = all[..6].to_vec();
    let elsewhere = vec!["X-Mine".to_owned(), "Content-Type".to_owned()];
    for same in ["/x", "http://h/x", "http://H:80/x", "//h/x"] {
        assert_eq!(kept(307, "http://h/", same), (false, all.clone()), "{same}");
        assert_eq!(kept(302, "http://h:80/", same), (false, without_body.clone()), "{same}");
    }
    assert_eq!(kept(308, "http://[::1]:9/", "http://[::1]:9/x"), (false, all.clone()));
    for other in ["http://g/x", "http://h:8080/x", "https://h/x", "//h.h/"] {
        assert_eq!(kept(307, "http://h/", other), (true, elsewhere.clone()), "{other}");
    }
    assert_eq!(kept(303, "http://h/", "//g/"), (true, vec!["X-Mine".to_owned()]));
}

#[test]
fn a_downgrade_is_told() {
    let is_downgrade = |base: &str, location: &str| next("GET", base, 302, location).is_downgrade;
    assert!(is_downgrade("https://h/", "http://h/"));
    assert!(!is_downgrade("https://h/", "/") && !is_downgrade("http://h/", "https://h/"));
    assert!(!is_downgrade("http://h/", "http://g/"));
}

/// Whatever a target sends: no panic, and what comes of it is one valid request.
#[test]
fn any_location_makes_one_request_or_none() {
    let seed = 0x10c;
    let mut random = fastrand::Rng::with_seed(seed);
    let starts = ["", "/", "//", "http://h", "https://[::1]:1/", "?", "../", "http:"];
    for run in 0..50_000 {
        let mut location = random.choice(starts).unwrap().as_bytes().to_vec();
        for _ in 0..random.usize(0..12) {
            location.push(if random.bool() {
                *random.choice(b"/?#:@[]%.\r\n\0 ").unwrap()
            } else {
                random.u8(..)
            });
        }
        let old = parts("GET", "http://a/b/c?d", &[]);
        let Ok(next) = redirect::next(&old, 302, &location) else { continue };
        let authority = next.authority();
        let new = Parts { authority: &authority, path: &next.path, body: b"", ..old };
        let rendered = Http1.render(&new);
        let rendered = rendered.unwrap_or_else(|error| panic!("seed {seed}, run {run}: {error}: {next:?}"));
        assert_eq!(rendered.bytes().windows(4).filter(|window| window == b"\r\n\r\n").count(), 1);
    }
}
