//! What a user's jar makes of cookies: what was set where, and what is sent where.

use protocol::cookies::{Jar, MAX_COOKIE_BYTES, MAX_COOKIES, MAX_PER_DOMAIN, Place};

const NOW: u64 = 1_700_000_000;

/// `https://host/path` or `http://…`.
fn place(url: &str) -> Place<'_> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Place { host, path, is_secure: scheme == "https" }
}

fn sent(jar: &mut Jar, url: &str, now: u64) -> String {
    let mut value = String::new();
    assert_eq!(jar.write(place(url), now, &mut value), !value.is_empty());
    value
}

/// What is sent to `url` after `cookies` were set at `from`.
fn check(from: &str, cookies: &[&str], url: &str, expected: &str) {
    let mut jar = Jar::default();
    for cookie in cookies {
        jar.set(place(from), cookie.as_bytes(), NOW);
    }
    assert_eq!(sent(&mut jar, url, NOW), expected, "{cookies:?} of {from} for {url}");
}

#[test]
fn names_and_values_are_sent_back_as_they_came() {
    for (cookie, expected) in [
        ("a=b", "a=b"),
        (" a = b c ; Secure=x; HttpOnly", ""),
        (" a = b c ; HttpOnly; SameSite=Lax", "a=b c"),
        ("a=", "a="),
        ("a=\"b\"", "a=\"b\""),
        ("a=b=c", "a=b=c"),
        ("a=ü", "a=ü"),
        ("a=b;", "a=b"),
        ("a", ""),
        ("", ""),
        ("=b", ""),
        ("a=b\r\nX: y", ""),
        ("a=b\0", ""),
    ] {
        check("h/", &[cookie], "h/", expected);
    }
    let mut jar = Jar::default();
    assert!(!jar.set(place("h/"), b"a=\xff", NOW) && jar.is_empty());
    let just = "x".repeat(MAX_COOKIE_BYTES - 1);
    assert!(jar.set(place("h/"), format!("a={just}").as_bytes(), NOW));
    assert!(!jar.set(place("h/"), format!("a={just}x").as_bytes(), NOW));
}

#[test]
fn domains_match_themselves_and_what_is_below() {
    for (from, domain, url, is_sent) in [
        ("a.test", "", "a.test", true),
        ("a.test", "", "b.a.test", false),
        ("a.test", "", "A.TEST", true),
        ("a.test", "a.test", "b.a.test", true),
        ("a.test", ".A.Test", "b.a.test", true),
        ("b.a.test", "a.test", "a.test", true),
        ("b.a.test", "a.test", "xa.test", false),
        ("b.a.test", "a.test", "c.test", false),
        ("a.test", "b.a.test", "b.a.test", false),
        ("a.test", "other.test", "other.test", false),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "0.0.1", "127.0.0.1", false),
        ("::1", "", "::1", true),
        ("127.0.0.1", "", "127.0.0.2", false),
    ] {
        let cookie = if domain.is_empty() { "a=b".to_owned() } else { format!("a=b; Domain={domain}") };
        check(from, &[&cookie], url, if is_sent { "a=b" } else { "" });
    }
    check("a.test", &["a=b; Domain=c.test; Domain=a.test"], "a.test", "a=b");
    check("a.test", &["a=b; Domain="], "b.a.test", "");
}

#[test]
fn paths_match_whole_segments() {
    for (from, path, url, is_sent) in [
        ("h/x/y", "", "h/x", true),
        ("h/x/y", "", "h/x/z?q", true),
        ("h/x/y", "", "h/", false),
        ("h/x", "", "h/", true),
        ("h/x?/y/z", "", "h/", true),
        ("h", "", "h/anything", true),
        ("h/", "/a", "h/a", true),
        ("h/", "/a", "h/a/b", true),
        ("h/", "/a", "h/a?b", true),
        ("h/", "/a", "h/ab", false),
        ("h/", "/a/", "h/a/b", true),
        ("h/", "/a/", "h/a", false),
        ("h/x/y", "relative", "h/x/z", true),
        ("h/x/y", "relative", "h/z", false),
    ] {
        let cookie = if path.is_empty() { "a=b".to_owned() } else { format!("a=b; path={path}") };
        check(from, &[&cookie], url, if is_sent { "a=b" } else { "" });
    }
}

#[test]
fn secure_cookies_need_a_secure_connection() {
    check("https://h/", &["a=b; secure", "c=d"], "https://h/", "a=b; c=d");
    check("https://h/", &["a=b; secure", "c=d"], "http://h/", "c=d");
}

#[test]
fn longer_paths_go_first_then_what_came_first() {
    let cookies = ["a=1; path=/", "b=2; path=/x", "c=3; path=/", "d=4; path=/x", "a=5; path=/"];
    check("h/x/y", &cookies, "h/x/y", "b=2; d=4; a=5; c=3");
    check("h/x/y", &["a=1; path=/", "a=2; path=/x"], "h/x/", "a=2; a=1");
}

#[test]
fn cookies_end_at_their_time() {
    let mut jar = Jar::default();
    for cookie in [
        "age=1; Max-Age=10",
        "both=1; Max-Age=20; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "date=1; Expires=Tue, 14 Nov 2023 22:13:50 GMT",
        "none=1; Expires=never; Max-Age=soon",
        "huge=1; Max-Age=99999999999999999999999",
    ] {
        assert!(jar.set(place("h/"), cookie.as_bytes(), NOW));
    }
    assert_eq!(sent(&mut jar, "h/", NOW + 9), "age=1; both=1; date=1; none=1; huge=1");
    assert_eq!(sent(&mut jar, "h/", NOW + 10), "both=1; date=1; none=1; huge=1");
    assert_eq!(sent(&mut jar, "h/", NOW + 29), "date=1; none=1; huge=1");
    assert_eq!(sent(&mut jar, "h/", NOW + 30), "none=1; huge=1");
}

#[test]
fn cookies_are_deleted_by_an_end_that_has_passed() {
    for end in ["Max-Age=0", "Max-Age=-5", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        let deletion = format!("a=; {end}");
        check("h/", &["a=1", "b=2", &deletion], "h/", "b=2");
        check("h/x/", &["a=1; path=/", &deletion], "h/x/", "a=1");
        let mut jar = Jar::default();
        assert!(jar.set(place("h/"), deletion.as_bytes(), NOW) && jar.is_empty());
    }
}

#[test]
fn a_full_jar_forgets_what_is_over_then_what_was_used_longest_ago() {
    let mut jar = Jar::default();
    let set = |jar: &mut Jar, host: &str, cookie: String| jar.set(place(host), cookie.as_bytes(), NOW);
    for number in 0..MAX_PER_DOMAIN {
        set(&mut jar, "h/", format!("a{number}=; path=/{number}"));
    }
    for number in (0..MAX_PER_DOMAIN).filter(|number| *number != 7) {
        assert_eq!(sent(&mut jar, &format!("h/{number}"), NOW), format!("a{number}="));
    }
    set(&mut jar, "h/", "last=; Max-Age=1".to_owned());
    assert_eq!((jar.len(), sent(&mut jar, "h/7", NOW)), (MAX_PER_DOMAIN, "last=".to_owned()));
    assert!(jar.set(place("h/"), b"more=", NOW + 1));
    assert_eq!((jar.len(), sent(&mut jar, "h/0", NOW + 1)), (MAX_PER_DOMAIN, "a0=; more=".to_owned()));

    for number in 0..MAX_COOKIES {
        assert!(set(&mut jar, &format!("h{number}/"), "a=b".to_owned()));
        assert!(jar.len() <= MAX_COOKIES);
    }
    assert_eq!((jar.len(), sent(&mut jar, "h/1", NOW)), (MAX_COOKIES, String::new()));
    jar.clear();
    assert!(jar.is_empty());
}

#[test]
fn any_bytes_leave_a_valid_header() {
    let seed = 0xc00c1e;
    let mut random = fastrand::Rng::with_seed(seed);
    let parts = [
        "a=b", ";", "Domain=", "Path=", "Expires=", "Max-Age=", "h", "/", " Nov ", "1994", "08:49:37", "-",
        "ü",
    ];
    let mut jar = Jar::default();
    for run in 0..100_000 {
        let mut bytes = Vec::new();
        for _ in 0..random.usize(0..10) {
            match random.u8(0..8) {
                0 => bytes.push(random.u8(..)),
                _ => bytes.extend_from_slice(random.choice(parts).unwrap_or_default().as_bytes()),
            }
        }
        jar.set(place("h/"), &bytes, NOW);
        let value = sent(&mut jar, "h/", NOW);
        assert!(!value.contains(['\r', '\n', '\0']), "seed {seed}, run {run}: {}", bytes.escape_ascii());
    }
    assert!(jar.len() <= MAX_PER_DOMAIN);
}
