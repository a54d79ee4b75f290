//! What a step needs beyond one request sent as it was rendered: redirects, cookies, permission for its body; and what an
//! iteration carries with it for that.
//!
//! Invariant: a step that needs none of it has no [`Sequel`], and an iteration that carries nothing no [`Walk`]: then
//! nothing here is called. Deliberately absent: connections and times (`worker`).

use std::sync::Arc;

use protocol::cookies::{Jar, Place};
use protocol::http1::Http1;
use protocol::redirect::{self, Next};
use protocol::{Parts, Protocol, Request, RequestError};

use crate::journey::Journey;
use crate::template;

/// The number of no walk.
pub(crate) const NO_WALK: u32 = u32::MAX;

/// What a step needs beyond its rendered requests.
#[derive(Debug)]
pub(crate) struct Sequel {
    /// Redirects that are followed, at most.
    pub(crate) redirects: u32,
    /// Whether cookies are kept and sent back.
    pub(crate) cookies: bool,
    /// The step's request to each target; none where it varies.
    lines: Vec<Line>,
    user_agent: String,
    expects_continue: bool,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) method: String,
    pub(crate) scheme: &'static str,
    /// IPv6 without brackets.
    host: String,
    pub(crate) authority: String,
    /// With its query.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Arc<[u8]>,
}

/// What an iteration carries from one response to its next request.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) jar: Jar,
    /// The redirect that its present request follows.
    pub(crate) hop: Option<Hop>,
    /// The step's own request, where it varies and may be followed by others.
    pub(crate) line: Option<Line>,
    /// The present request, when it is not the step's as it was rendered.
    pub(crate) request: Option<Request>,
    /// Its way, where that depends on what happens.
    pub(crate) journey: Option<Box<Journey>>,
}

/// A redirect that is being followed.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) line: Line,
    pub(crate) target: u16,
    /// Redirects since the step's own request, with this one.
    pub(crate) count: u32,
    /// When the step's own request was intended.
    pub(crate) intended_ns: u64,
    /// The step's own target.
    pub(crate) home: u16,
}

impl Sequel {
    /// Of a step whose request to each target is in `lines`, unless it varies.
    pub(crate) fn new(step: &plan::Step, cookies: bool, lines: Vec<Line>, user_agent: &str) -> Self {
        Self {
            redirects: step.follow_redirects,
            cookies,
            lines,
            user_agent: user_agent.to_owned(),
            expects_continue: step.expect_continue,
        }
    }

    /// The step's own request to a target, unless it varies.
    pub(crate) fn line(&self, target: u16) -> Option<&Line> {
        self.lines.get(usize::from(target))
    }

    fn parts<'a>(&'a self, line: &'a Line, headers: &'a [(String, String)]) -> Parts<'a> {
        Parts {
            method: &line.method,
            scheme: line.scheme,
            authority: &line.authority,
            path: &line.path,
            headers,
            body: &line.body,
            user_agent: &self.user_agent,
            expects_continue: self.expects_continue,
        }
    }

    /// The present request of `walk`, when it is not the step's as it was rendered.
    pub(crate) fn render(
        &self,
        walk: &mut Walk,
        target: u16,
        protocol: &dyn Protocol,
        now_s: u64,
    ) -> Option<Request> {
        let Walk { jar, hop, line, request, .. } = walk;
        let line = hop.as_ref().map(|hop| &hop.line).or(line.as_ref()).or(self.line(target))?;
        let mut cookies = String::new();
        if self.cookies && jar.write(line.place(), now_s, &mut cookies) {
            let headers = with_cookies(&line.headers, &cookies);
            if let Ok(request) = protocol.render(&self.parts(line, &headers)) {
                return Some(request);
            }
            // More cookies than a head has room for: the request goes without them, and the target will say so.
        }
        if hop.is_none() {
            return request.clone();
        }
        protocol.render(&self.parts(line, &line.headers)).ok()
    }

    /// The present request of `walk` to a target, and the headers that go with it.
    pub(crate) fn shown(&self, walk: &mut Walk, target: u16, now_s: u64) -> Option<(Line, Request)> {
        let Walk { jar, hop, line, .. } = walk;
        let line = hop.as_ref().map(|hop| &hop.line).or(line.as_ref()).or(self.line(target))?;
        let mut cookies = String::new();
        let has_cookies = self.cookies && jar.write(line.place(), now_s, &mut cookies);
        let headers = if has_cookies { with_cookies(&line.headers, &cookies) } else { line.headers.clone() };
        let rendered = Http1.render(&self.parts(line, &headers));
        let request = rendered.or_else(|_| Http1.render(&self.parts(line, &line.headers))).ok()?;
        Some((line.clone(), request))
    }

    /// Where a redirect leads; `None` when it leads nowhere.
    pub(crate) fn next(&self, line: &Line, status: u16, location: &[u8]) -> Option<Next> {
        redirect::next(&self.parts(line, &line.headers), status, location).ok()
    }

    /// The request that `next` asks for.
    pub(crate) fn following(
        &self,
        line: &Line,
        next: Next,
        protocol: &dyn Protocol,
    ) -> Result<Line, RequestError> {
        let following = Line {
            authority: next.authority(),
            method: next.method,
            scheme: next.scheme,
            host: next.host,
            path: next.path,
            headers: next.headers,
            body: if next.keeps_body { Arc::clone(&line.body) } else { Arc::default() },
        };
        protocol.render(&self.parts(&following, &following.headers)).map(|_| following)
    }
}

impl Line {
    /// To one of the plan's targets.
    pub(crate) fn new(
        place: &template::Place,
        method: &str,
        path: String,
        headers: Vec<(String, String)>,
        body: Arc<[u8]>,
    ) -> Self {
        Self {
            method: method.to_owned(),
            scheme: place.scheme,
            host: place.host.clone(),
            authority: place.authority.clone(),
            path,
            headers,
            body,
        }
    }

    /// For cookies.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { host: &self.host, path: &self.path, is_secure: self.scheme == "https" }
    }
}

/// The header that the plan may have is continued: there is one at most (RFC 6265, 5.4).
fn with_cookies(headers: &[(String, String)], cookies: &str) -> Vec<(String, String)> {
    let mut headers = headers.to_vec();
    match headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
        Some((_, value)) => {
            value.push_str("; ");
            value.push_str(cookies);
        }
        None => headers.push(("Cookie".to_owned(), cookies.to_owned())),
    }
    headers
}

/// The target of `plan` that `next` leads to, `present` if it is that one.
pub(crate) fn target_of(plan: &plan::Plan, next: &Next, present: u16) -> Option<u16> {
    if !next.changes_origin {
        return Some(present);
    }
    let is_it = |target: &plan::Target| {
        target.socket.is_none()
            && target.scheme.as_str() == next.scheme
            && target.host.eq_ignore_ascii_case(&next.host)
            && target.port == next.port
    };
    plan.targets.iter().position(is_it).and_then(|at| u16::try_from(at).ok())
}

/// The walks of one thread's iterations, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Walks {
    walks: Vec<Walk>,
    vacant: Vec<u32>,
}

impl Walks {
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Walk> {
        if number == NO_WALK { None } else { self.walks.get(number as usize) }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Walk> {
        if number == NO_WALK { None } else { self.walks.get_mut(number as usize) }
    }

    /// The walk of that number; a new one, whose number it becomes, when there is none.
    pub(crate) fn open(&mut self, number: &mut u32) -> &mut Walk {
        if *number == NO_WALK {
            *number = self.vacant.pop().unwrap_or_else(|| {
                self.walks.push(Walk::default());
                u32::try_from(self.walks.len() - 1).unwrap_or(u32::MAX - 1)
            });
        }
        &mut self.walks[*number as usize]
    }

    /// Whether none is open.
    pub(crate) fn are_closed(&self) -> bool {
        self.walks.len() == self.vacant.len()
    }

    /// The iteration is over.
    pub(crate) fn close(&mut self, number: u32) {
        if let Some(walk) = self.get_mut(number) {
            // The journey is kept for its memory.
            *walk = Walk { journey: walk.journey.take(), ..Walk::default() };
            self.vacant.push(number);
        }
    }
}
