//! One command line of curl, and the requests it makes.

use crate::draft::{Auth, Body, METHODS, Part, Request, literal};
use crate::notes::Notes;
use crate::url::{Url, encoded};
use crate::{headers, names, payload, span};

/// What a command line says.
#[derive(Debug, Default)]
pub(super) struct Command {
    pub urls: Vec<Url>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    /// Literal, as they will be joined.
    data: Vec<String>,
    file: Option<String>,
    parts: Vec<(String, Part)>,
    query: Vec<String>,
    json: bool,
    get: bool,
    head: bool,
    auth: Option<Auth>,
    timeout: Option<String>,
    follow_redirects: bool,
    decompress: bool,
    pub cookies: bool,
    pub insecure: bool,
    pub http: Option<&'static str>,
    pub proxy: Option<String>,
    pub ca: Option<String>,
    pub certificate: Option<String>,
    pub key: Option<String>,
    pub socket: Option<String>,
    pub family: Option<&'static str>,
}

impl Command {
    pub(super) fn url(&mut self, text: &str, notes: &mut Notes) {
        match Url::parse(text) {
            Some(url) => {
                let globs = |part: &str| part.contains('[') || part.contains("%7B");
                if globs(&url.path) || url.query.as_deref().is_some_and(globs) {
                    notes
                        .add("a URL with [ ] or { }: curl makes several of it, the plan has it as it stands");
                }
                self.urls.push(url);
            }
            None => notes.add(format!("left out: {text} is no http URL")),
        }
    }

    /// Takes one option, by its first name in the table.
    pub(super) fn option(&mut self, name: &'static str, value: &str, notes: &mut Notes) {
        let owned = || Some(value.to_owned());
        if self.body_option(name, value, notes) {
            return;
        }
        match name {
            "url" => self.url(value, notes),
            "X" => self.method = owned(),
            "H" => self.header(value, notes),
            "G" => self.get = true,
            "I" => self.head = true,
            "url-query" => self.query.push(value.trim_start_matches('+').to_owned()),
            "u" => self.auth = Some(basic(value)),
            "oauth2-bearer" => self.auth = Some(Auth::Bearer(literal(value))),
            "A" => self.headers.push(("user-agent".to_owned(), literal(value))),
            "e" => self.headers.push(("referer".to_owned(), literal(value.trim_end_matches(";auto")))),
            "b" if value.contains('=') => self.headers.push(("cookie".to_owned(), literal(value))),
            "b" | "c" => {
                self.cookies = true;
                notes.add("cookie files: the scenario keeps cookies, and begins with none");
            }
            "compressed" => self.decompress = true,
            "L" => self.follow_redirects = true,
            "k" => self.insecure = true,
            "http2" => self.http = Some("auto"),
            "http2-prior-knowledge" => self.http = Some("2"),
            "0" => notes.add("-0: HTTP/1.0 is not spoken, 1.1 is"),
            "m" => match span::parse_ms(value, 1000.0).filter(|ms| (1..=3_600_000).contains(ms)) {
                Some(ms) => self.timeout = Some(span::show_ms(ms)),
                None => notes.add(format!("-m {value}: no time that a step can have")),
            },
            "x" => self.proxy = owned(),
            "cacert" => self.ca = owned(),
            "E" => self.certificate = Some(value.split(':').next().unwrap_or_default().to_owned()),
            "key" => self.key = owned(),
            "unix-socket" => self.socket = owned(),
            "4" => self.family = Some("ipv4"),
            "6" => self.family = Some("ipv6"),
            // Only --http1.1, which is the default here.
            _ => {}
        }
    }

    /// Whether it was an option that gives a body.
    fn body_option(&mut self, name: &str, value: &str, notes: &mut Notes) -> bool {
        match name {
            "d" | "data-binary" | "json" if value.starts_with('@') => {
                self.file = Some(value[1..].to_owned());
                notes.add(format!("body from the file {}: put it beside the plan", &value[1..]));
            }
            "d" => self.data.push(value.replace(['\r', '\n'], "")),
            "data-raw" | "data-binary" | "json" => self.data.push(value.to_owned()),
            "data-urlencode" => match value.split_once('=') {
                Some(("", value)) => self.data.push(encode(value)),
                Some((key, value)) => self.data.push(format!("{key}={}", encode(value))),
                None if value.contains('@') => {
                    notes.add(format!("--data-urlencode {value}: a file, not translated"))
                }
                None => self.data.push(encode(value)),
            },
            "F" => self.part(value, notes),
            "form-string" => {
                let (key, value) = value.split_once('=').unwrap_or((value, ""));
                payload::add_part(&mut self.parts, key.to_owned(), Part::Text(literal(value)), "-F", notes);
            }
            "T" => {
                self.file = Some(value.to_owned());
                self.method.get_or_insert_with(|| "PUT".to_owned());
                notes.add(format!("body from the file {value}: put it beside the plan"));
            }
            _ => return false,
        }
        self.json |= name == "json";
        true
    }

    fn header(&mut self, value: &str, notes: &mut Notes) {
        if let Some(file) = value.strip_prefix('@') {
            notes.add(format!("headers from the file {file}: not translated"));
        } else if let Some(name) = value.strip_suffix(';').filter(|name| !name.contains(':')) {
            self.headers.push((name.to_owned(), String::new()));
        } else if let Some((name, value)) = crate::flags::header(value) {
            match value.is_empty() {
                true => {
                    notes.add(format!("-H \"{name}:\" takes a header of curl's away, which is not sent here"))
                }
                false => self.headers.push((name, value)),
            }
        } else {
            notes.add("-H: text without a colon is no header, left out");
        }
    }

    /// `name=text`, `name=@file;type=…;filename=…`, `name=<file`.
    fn part(&mut self, value: &str, notes: &mut Notes) {
        let (key, value) = value.split_once('=').unwrap_or((value, ""));
        let mut attributes = value.split(';');
        let content = attributes.next().unwrap_or_default();
        let part = if let Some(file) = content.strip_prefix(['@', '<']) {
            let file = file.trim_matches('"').to_owned();
            notes.add(format!("part \"{key}\" from the file {file}: put it beside the plan"));
            let mut part = (None, None);
            for attribute in attributes {
                match attribute.trim().split_once('=') {
                    Some(("type", value)) => part.0 = Some(value.to_owned()),
                    Some(("filename", value)) => part.1 = Some(value.trim_matches('"').to_owned()),
                    _ => {}
                }
            }
            Part::File { file, media_type: part.0, filename: part.1 }
        } else {
            Part::Text(literal(value.split(";type=").next().unwrap_or_default()))
        };
        payload::add_part(&mut self.parts, key.to_owned(), part, "-F", notes);
    }

    /// The request to `url`, which is one of `urls`.
    pub(super) fn request(&self, url: &Url, notes: &mut Notes) -> Option<Request> {
        let mut url = url.clone();
        let mut added = self.query.clone();
        if self.get {
            added.extend(self.data.iter().cloned());
        }
        if !added.is_empty() {
            let before = url.query.take().map_or(String::new(), |query| format!("{query}&"));
            url.query = Some(encoded(&format!("{before}{}", added.join("&"))));
        }
        let (path, query) = url.path_and_pairs();
        let has_body = !self.get && (!self.data.is_empty() || self.file.is_some()) || !self.parts.is_empty();
        let method = self.method.clone().unwrap_or_else(|| match (self.head, has_body) {
            (true, _) => "HEAD".to_owned(),
            (false, true) => "POST".to_owned(),
            (false, false) => "GET".to_owned(),
        });
        let mut request = Request {
            method: known_method(&method, notes)?,
            path: literal(&path),
            query: query.into_iter().map(|(key, value)| (key, literal(&value))).collect(),
            headers: self.headers.clone(),
            auth: self.auth.clone().or_else(|| of_url(&url)),
            timeout: self.timeout.clone(),
            follow_redirects: self.follow_redirects,
            decompress: self.decompress
                || self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept-encoding")),
            ..Request::default()
        };
        request.name = Some(format!("{} {}", request.method.to_uppercase(), names::stable(&path)));
        headers::without_browser(&mut request.headers, false, notes);
        if has_body {
            self.body(&mut request, notes);
        }
        let variable = |text: &str| {
            let at = text.find('$').map(|at| &text[at + 1..]);
            at.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '{'))
        };
        let mut expands = variable(&request.path);
        request.each_text(&mut |key, text| expands |= variable(key) || variable(text));
        if expands {
            notes.add(format!(
                "{}: a $ in it may be a variable of the shell, which is not expanded",
                request.shown()
            ));
        }
        Some(request)
    }

    fn body(&self, request: &mut Request, notes: &mut Notes) {
        if !self.parts.is_empty() {
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            request.body = Body::Multipart(self.parts.clone());
            return;
        }
        let default = if self.json { "application/json" } else { "application/x-www-form-urlencoded" };
        let given = request.header("content-type").map(str::to_owned);
        let media_type = given.clone().unwrap_or_else(|| default.to_owned());
        if self.json && request.header("accept").is_none() {
            request.headers.push(("accept".to_owned(), "application/json".to_owned()));
        }
        let place = request.shown();
        request.body = match &self.file {
            Some(file) => Body::File(file.clone()),
            None => {
                let data = self.data.join(if self.json { "" } else { "&" });
                payload::body(&data, &media_type, &mut request.headers, &place, notes)
            }
        };
        if given.is_none() && matches!(request.body, Body::Text(_) | Body::File(_)) {
            request.headers.push(("content-type".to_owned(), media_type));
        }
    }
}

/// A method as a plan has it; `None` (and a note) for one that no plan can send.
pub(crate) fn known_method(method: &str, notes: &mut Notes) -> Option<String> {
    let lower = method.to_ascii_lowercase();
    if METHODS.contains(&lower.as_str()) {
        return Some(lower);
    }
    notes.add(format!("left out: a request with the method {method}, which a plan cannot send"));
    None
}

/// `user:password`.
pub(crate) fn basic(text: &str) -> Auth {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Auth::Basic { user: literal(user), password: literal(password) }
}

/// User and password that stand in a URL.
pub(crate) fn of_url(url: &Url) -> Option<Auth> {
    let (user, password) = url.user.as_ref()?;
    Some(Auth::Basic { user: literal(user), password: literal(password) })
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What a query of pairs is, for the tools that have only whole URLs.
pub(crate) fn get(url: &Url) -> Request {
    let (path, query) = url.path_and_pairs();
    let query = query.into_iter().map(|(key, value)| (key, literal(&value))).collect();
    let name = Some(format!("GET {}", names::stable(&path)));
    let auth = of_url(url);
    Request { method: "get".to_owned(), path: literal(&path), query, name, auth, ..Request::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url;

    #[test]
    fn data_is_encoded_as_curl_does() {
        assert_eq!(encode("a b&ü"), "a%20b%26%C3%BC");
        assert_eq!(
            url::pairs(&format!("q={}", encode("a b&ü"))),
            Some(vec![("q".to_owned(), "a b&ü".to_owned())])
        );
    }
}
