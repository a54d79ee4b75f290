//! The cookies of one user (RFC 6265): what targets set, and what is sent back.
//!
//! Own code, since the crates that parse `Set-Cookie` bring a calendar and leave the matching, which is most of it, to
//! others, and the one with a jar reads the clock. Here time is an argument: seconds since 1970.
//!
//! Invariant: a jar is bounded, and what it renders is one valid header value. Deliberately absent: the list of public
//! suffixes, which keeps hostile sites from planting cookies on each other (here one plan's targets are all there is);
//! `SameSite` and `HttpOnly`, which are about pages and scripts.

mod date;
mod parse;

use std::cmp::Reverse;

use parse::SetCookie;

/// Cookies of one domain, as RFC 6265, 6.1 asks for at least.
pub const MAX_PER_DOMAIN: usize = 50;

/// Bytes of a cookie's name and value. Larger ones are ignored.
pub const MAX_COOKIE_BYTES: usize = 4096;

/// Cookies in all: a jar belongs to one of thousands of users, so that it holds less than a browser.
pub const MAX_COOKIES: usize = 180;

/// Which request a cookie comes from or goes to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Name or address without a port, IPv6 without brackets.
    pub host: &'a str,
    /// The request's path, with or without its query.
    pub path: &'a str,
    /// Whether the connection is secure.
    pub is_secure: bool,
}

/// The cookies of one user.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    /// In the order they are sent: longer paths first, then those that came first.
    cookies: Vec<Cookie>,
    /// Counts what is sent, to tell which cookie was used last.
    uses: u64,
}

#[derive(Debug, Clone)]
struct Cookie {
    name: Box<str>,
    value: Box<str>,
    /// In lower case, without a dot before it.
    domain: Box<str>,
    path: Box<str>,
    /// Only for `domain` itself.
    is_host_only: bool,
    is_secure: bool,
    /// Seconds since 1970; none lasts as long as the user.
    expires_at: Option<u64>,
    used: u64,
}

impl Jar {
    /// Takes the value of a `Set-Cookie` header that came from `place` at `now` (seconds since 1970). False when the
    /// cookie is none, or not for that place, and is ignored.
    pub fn set(&mut self, place: Place<'_>, set_cookie: &[u8], now: u64) -> bool {
        let Some(set) = parse::parse(set_cookie, now) else { return false };
        let host = place.host.to_ascii_lowercase();
        let (domain, is_host_only) = match set.domain {
            Some(domain) if !domain_matches(&host, &domain) => return false,
            Some(domain) => (domain, false),
            None => (host, true),
        };
        let path = set.path.unwrap_or_else(|| default_path(place.path));
        let SetCookie { name, value, is_secure, expires_at, .. } = set;
        self.put(
            Cookie {
                name: name.into(),
                value: value.into(),
                domain: domain.into(),
                path: path.into(),
                is_host_only,
                is_secure,
                expires_at,
                used: self.uses,
            },
            now,
        );
        true
    }

    /// Appends the value of the `Cookie` header for a request to `place` at `now`; false when there is none to send.
    pub fn write(&mut self, place: Place<'_>, now: u64, out: &mut String) -> bool {
        self.uses += 1;
        let mut any = false;
        for cookie in self.cookies.iter_mut().filter(|cookie| cookie.is_for(place, now)) {
            cookie.used = self.uses;
            if std::mem::replace(&mut any, true) {
                out.push_str("; ");
            }
            out.push_str(&cookie.name);
            out.push('=');
            out.push_str(&cookie.value);
        }
        any
    }

    /// Forgets all, as for a new user.
    pub fn clear(&mut self) {
        self.cookies.clear();
    }

    /// Cookies that it holds, be they expired.
    pub fn len(&self) -> usize {
        self.cookies.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// RFC 6265, 5.3, from step 11 on.
    fn put(&mut self, cookie: Cookie, now: u64) {
        let is_over = cookie.is_over(now);
        let same = self.cookies.iter().position(|other| {
            other.name == cookie.name && other.domain == cookie.domain && other.path == cookie.path
        });
        match same {
            Some(at) if is_over => {
                self.cookies.remove(at);
            }
            // In its place: it counts as created when the first of its name was.
            Some(at) => self.cookies[at] = cookie,
            None if is_over => {}
            None => {
                self.make_room(&cookie.domain, now);
                let length = Reverse(cookie.path.len());
                let at = self.cookies.partition_point(|other| Reverse(other.path.len()) <= length);
                self.cookies.insert(at, cookie);
            }
        }
    }

    /// Room for one more of `domain`: what is over goes first, then what was used longest ago.
    fn make_room(&mut self, domain: &str, now: u64) {
        let is_of = |cookie: &Cookie| *cookie.domain == *domain;
        let is_full = |cookies: &[Cookie]| {
            cookies.len() >= MAX_COOKIES
                || cookies.iter().filter(|cookie| is_of(cookie)).count() >= MAX_PER_DOMAIN
        };
        if !is_full(&self.cookies) {
            return;
        }
        self.cookies.retain(|cookie| !cookie.is_over(now));
        if self.cookies.iter().filter(|cookie| is_of(cookie)).count() >= MAX_PER_DOMAIN {
            self.evict(is_of);
        }
        if self.cookies.len() >= MAX_COOKIES {
            self.evict(|_| true);
        }
    }

    fn evict(&mut self, is_candidate: impl Fn(&Cookie) -> bool) {
        let candidates = self.cookies.iter().enumerate().filter(|(_, cookie)| is_candidate(cookie));
        if let Some((at, _)) = candidates.min_by_key(|(_, cookie)| cookie.used) {
            self.cookies.remove(at);
        }
    }
}

impl Cookie {
    fn is_over(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// RFC 6265, 5.4.
    fn is_for(&self, place: Place<'_>, now: u64) -> bool {
        let is_domain = if self.is_host_only {
            place.host.eq_ignore_ascii_case(&self.domain)
        } else {
            domain_matches(place.host, &self.domain)
        };
        is_domain
            && path_matches(path_of(place.path), &self.path)
            && (!self.is_secure || place.is_secure)
            && !self.is_over(now)
    }
}

/// RFC 6265, 5.1.3; `domain` is in lower case.
fn domain_matches(host: &str, domain: &str) -> bool {
    if host.eq_ignore_ascii_case(domain) {
        return true;
    }
    let Some(before) = host.len().checked_sub(domain.len()) else { return false };
    let (Some(start), Some(end)) = (host.get(..before), host.get(before..)) else { return false };
    start.ends_with('.') && end.eq_ignore_ascii_case(domain) && host.parse::<std::net::IpAddr>().is_err()
}

/// RFC 6265, 5.1.4.
fn path_matches(path: &str, of_cookie: &str) -> bool {
    let Some(rest) = path.strip_prefix(of_cookie) else { return false };
    rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/')
}

/// RFC 6265, 5.1.4: up to the last slash, without it.
fn default_path(path: &str) -> String {
    match path_of(path).rfind('/') {
        Some(at) if at > 0 && path.starts_with('/') => path[..at].to_owned(),
        _ => "/".to_owned(),
    }
}

fn path_of(path: &str) -> &str {
    match path.split('?').next() {
        None | Some("") => "/",
        Some(path) => path,
    }
}
