//! One step: its request is made, sent and answered, redirects are followed, and the answer is held against the plan.

use std::ops::RangeInclusive;
use std::time::Duration;

use metrics::ErrorKind;
use plan::{Body, Content, EvaluateError, Missing, Source, Template};
use protocol::decode::decode;
use protocol::{Request, header_values, headers, redirect};

use super::event::{Answer, Checked, Event, Exchange, Failure, Sent};
use super::wire::{Got, Trouble, Wire};
use super::{Stage, text_of};
use crate::reading::Reading;
use crate::sequel::{Hop, Line, Walk, target_of};
use crate::worker::{failure_of, unix_seconds};

/// Bytes of a decoded body that are shown, at most.
const SHOWN_BYTES: usize = 256 * 1024;

/// Texts with a secret in them that say nothing about it.
const HARMLESS: [&str; 2] = ["true", "false"];

impl Stage<'_> {
    /// Walks step number `step.0` of the scenario, `step.1` of the program.
    pub(super) fn take_step(&mut self, scenario: usize, step: (u32, u32), home: u16, walk: &mut Walk) {
        let plan = self.plan;
        let planned = &plan.scenarios[scenario].steps[step.0 as usize];
        let blank = || Exchange { step: planned.name.clone(), ..Exchange::default() };
        if let Err(failure) = self.make(scenario, step, home, walk) {
            if let Some(journey) = &mut walk.journey {
                journey.is_broken = true;
            }
            self.say(Event::Exchange(Box::new(Exchange { failure: Some(failure), ..blank() })));
            return;
        }
        let (mut target, mut took) = (home, Duration::ZERO);
        loop {
            let redirects = walk.hop.as_ref().map_or(0, |hop| hop.count);
            let mut exchange = Exchange { redirects, ..blank() };
            let hop = self.exchange(step.1, target, walk, &mut took, &mut exchange);
            exchange.is_followed = hop.is_some();
            let is_strict = self.is_strict();
            if exchange.failure.is_some()
                && let Some(journey) = &mut walk.journey
            {
                journey.fail_groups();
                journey.is_broken |= is_strict || !planned.saves.is_empty();
            }
            self.say(Event::Exchange(Box::new(exchange)));
            match hop {
                Some(hop) => {
                    target = hop.target;
                    walk.hop = Some(hop);
                }
                None => return,
            }
        }
    }

    /// Makes the step's request, where it varies.
    fn make(
        &mut self,
        scenario: usize,
        step: (u32, u32),
        target: u16,
        walk: &mut Walk,
    ) -> Result<(), Failure> {
        let plan = self.plan;
        let Some(journey) = &walk.journey else { return Ok(()) };
        let planned = &plan.scenarios[scenario].steps[step.0 as usize];
        let mut hidden = Vec::new();
        for template in templates(planned) {
            template.secret_texts(&self.secrets, &**journey, &mut hidden);
        }
        let is_telling = |text: &&String| text.len() > 2 && !HARMLESS.contains(&text.as_str());
        // A JSON string keeps its quotes.
        hidden.iter().filter(is_telling).for_each(|text| self.mask.hide(text.trim_matches('"')));
        let Some(varying) = &self.program.step(step.1).varying else { return Ok(()) };
        let place = &self.program.places[usize::from(target)];
        if let Err(error) = varying.write(step.1, place, &**journey, &mut self.room) {
            let missing = varying.missing(&**journey, plan.named(&plan.scenarios[scenario]));
            let text = missing.map_or_else(|| error.to_string(), |missing| said(&missing));
            return Err(Failure { kind: failure_of(error).as_str(), text: self.mask.text(&text) });
        }
        let protocol = self.protocols[usize::from(target)].as_ref();
        let made = varying.render(step.1, place, &self.room, protocol, &self.program.user_agent);
        let request = made.map_err(|error| Failure {
            kind: ErrorKind::Expression.as_str(),
            text: self.mask.error(error).to_string(),
        })?;
        walk.request = Some(request);
        let headers = self.room.headers[step.1 as usize].clone();
        let body = self.room.body.as_slice().into();
        walk.line = Some(Line::new(place, &varying.method, self.room.path.clone(), headers, body));
        Ok(())
    }

    /// Sends one request and looks at its answer; the redirect to follow, if it is one.
    fn exchange(
        &mut self,
        step: u32,
        target: u16,
        walk: &mut Walk,
        took: &mut Duration,
        exchange: &mut Exchange,
    ) -> Option<Hop> {
        let at = usize::from(target);
        let program = &self.program;
        let compiled = program.step(step);
        let sequel = compiled.sequel.as_ref()?;
        let (line, shown) = sequel.shown(walk, target, unix_seconds())?;
        let own = sequel.render(walk, target, self.protocols[at].as_ref(), unix_seconds());
        exchange.request = Some(self.sent(&line, &shown, at));
        let timeout = self.within(Duration::from_nanos(compiled.timeout_ns));
        let got = self.connected(at, timeout, exchange).and_then(|mut wire| {
            let compiled = self.program.step(step);
            let request = own.as_ref().or(compiled.requests.get(at));
            let got = request.map(|request| wire.exchange(request, compiled.want, timeout));
            Ok((got.transpose()?, wire))
        });
        let (got, wire) = match got {
            Ok((Some(got), wire)) => (got, wire),
            Ok((None, _)) => return None,
            Err(Trouble { kind, text }) => {
                exchange.failure = Some(Failure { kind: kind.as_str(), text: self.mask.text(&text) });
                return None;
            }
        };
        *took += got.total;
        let hop = self.learn(step, target, (&line, &got, &wire), walk, exchange);
        if hop.is_none() && exchange.failure.is_none() {
            self.judge(step, (&got, &wire), *took, walk, exchange);
        }
        self.wires[at] = Some(wire);
        hop
    }

    /// A connection to a target: the one that is there, or a new one.
    fn connected(
        &mut self,
        target: usize,
        timeout: Duration,
        exchange: &mut Exchange,
    ) -> Result<Wire, Trouble> {
        if let Some(mut wire) = self.wires[target].take()
            && wire.is_usable()
        {
            return Ok(wire);
        }
        let sources = &self.plan.network.source_addresses;
        let (mut peers, protocol) = (self.peers[target].iter(), self.protocols[target].as_ref());
        let mut last = None;
        let opened = peers.find_map(|peer| {
            Wire::open(peer, sources, protocol, timeout).map_err(|trouble| last = Some(trouble)).ok()
        });
        match (opened, last) {
            (Some((wire, opened)), _) => {
                exchange.connect = Some((opened.connect, opened.greeting));
                Ok(wire)
            }
            (None, Some(trouble)) => Err(trouble),
            (None, None) => Err(Trouble { kind: ErrorKind::Dns, text: "no address".to_owned() }),
        }
    }

    /// The request as it is shown.
    fn sent(&self, line: &Line, shown: &Request, target: usize) -> Sent {
        let is_http2 = self.is_http2[target];
        let head = &shown.bytes()[..shown.body_at()];
        // Behind the request line.
        let head = head.iter().position(|byte| *byte == b'\n').map_or(&[][..], |at| &head[at + 1..]);
        let is_sent = |name: &str| !is_http2 || !matches!(name, "host" | "connection");
        let headers = headers(head).filter_map(|(name, value)| {
            let mut name = String::from_utf8_lossy(name).into_owned();
            if is_http2 {
                name.make_ascii_lowercase();
            }
            is_sent(&name).then(|| (name, self.mask.text(&String::from_utf8_lossy(value))))
        });
        Sent {
            method: line.method.clone(),
            url: self.mask.text(&format!("{}://{}{}", line.scheme, line.authority, line.path)),
            version: if is_http2 { "HTTP/2" } else { "HTTP/1.1" },
            headers: headers.collect(),
            body: self.mask.bytes(&line.body),
        }
    }

    /// Takes what the answer's headers say: the answer as it is shown, cookies, and where a redirect leads.
    fn learn(
        &self,
        step: u32,
        target: u16,
        (line, got, wire): (&Line, &Got, &Wire),
        walk: &mut Walk,
        exchange: &mut Exchange,
    ) -> Option<Hop> {
        let (kept, status) = (wire.kept(), got.response.status);
        let compiled = self.program.step(step);
        let sequel = compiled.sequel.as_ref()?;
        let body = decode(kept.headers, kept.body, SHOWN_BYTES).map(std::borrow::Cow::into_owned);
        let is_cut = (kept.body.len() as u64) < got.response.body_bytes || body.is_err();
        let text = |bytes: &[u8]| self.mask.text(&String::from_utf8_lossy(bytes));
        exchange.answer = Some(Answer {
            status,
            is_accepted: compiled.expect.accepts(status),
            first_byte: got.first_byte,
            total: got.total,
            headers: headers(kept.headers).map(|(name, value)| (text(name), text(value))).collect(),
            body: self.mask.bytes(&body.unwrap_or_else(|_| kept.body.to_vec())),
            body_bytes: got.response.body_bytes,
            is_cut,
        });
        if sequel.cookies {
            for value in header_values(kept.headers, "set-cookie") {
                if walk.jar.set(line.place(), value, unix_seconds()) {
                    let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
                    exchange.cookies.push(text(pair));
                }
            }
        }
        let location = header_values(kept.headers, "location").next()?;
        if sequel.redirects == 0 || !redirect::is_redirect(status) {
            return None;
        }
        let hop = walk.hop.as_ref();
        let count = hop.map_or(0, |hop| hop.count) + 1;
        let mut lost = |why: String| {
            let text = format!("the redirect to {} is not followed: {why}", text(location));
            exchange.failure = Some(Failure { kind: ErrorKind::Redirect.as_str(), text });
        };
        if count > sequel.redirects {
            lost(format!("the step follows {} at most", sequel.redirects));
            return None;
        }
        let Some(next) = sequel.next(line, status, location) else {
            lost("it is no URL of the web".to_owned());
            return None;
        };
        let Some(to) = target_of(self.plan, &next, target) else {
            lost("it leads to none of the plan's targets".to_owned());
            return None;
        };
        match sequel.following(line, next, self.protocols[usize::from(to)].as_ref()) {
            Ok(line) => {
                let home = hop.map_or(target, |hop| hop.home);
                Some(Hop { line, target: to, count, intended_ns: 0, home })
            }
            Err(error) => {
                lost(self.mask.error(error).to_string());
                None
            }
        }
    }

    /// Holds the answer against the plan, and saves what is to be saved.
    fn judge(
        &self,
        step: u32,
        (got, wire): (&Got, &Wire),
        response_time: Duration,
        walk: &mut Walk,
        exchange: &mut Exchange,
    ) {
        let (compiled, status, kept) = (self.program.step(step), got.response.status, wire.kept());
        let mut fail = |kind: ErrorKind, text: String| {
            exchange.failure = Some(Failure { kind: kind.as_str(), text: self.mask.text(&text) });
        };
        if !compiled.expect.accepts(status) {
            let wanted = accepted(compiled.expect.status.as_deref());
            return fail(ErrorKind::Status, format!("status {status}, expected {wanted}"));
        }
        let (Some(reading), Some(journey)) = (&compiled.reading, &mut walk.journey) else { return };
        let body = match reading.body(kept) {
            Ok(body) => body,
            Err(error) => {
                return fail(ErrorKind::Body, format!("{error}; `max_body` of the step is the limit"));
            }
        };
        let header = |name: &str| {
            let mut found =
                headers(kept.headers).filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
            found.next().map(|(_, value)| value)
        };
        let answer = plan::Answer { status, header: &header, body: &body, response_time };
        for check in &reading.checks {
            exchange.checks.push(Checked {
                text: self.mask.text(&check.text),
                holds: check.holds(&answer, &**journey),
                expected: self.mask.text(&check.expected(&**journey)),
                found: self.mask.text(&check.found(&answer)),
            });
        }
        let failed = exchange.checks.iter().filter(|check| !check.holds);
        let failed: Vec<String> =
            failed.map(|check| format!("{}: found {}", check.text, check.found)).collect();
        if !failed.is_empty() {
            let text = failed.join("; ");
            exchange.failure = Some(Failure { kind: ErrorKind::Check.as_str(), text });
            return;
        }
        for taking in &reading.saves {
            match Reading::take(taking, &answer, &**journey) {
                Some(value) => {
                    exchange.saved.push((taking.name.clone(), self.mask.text(&text_of(&value))));
                    journey.save(taking.slot, value);
                }
                None => {
                    let text = format!("{} cannot be saved: {}", taking.name, not_there(&taking.source));
                    exchange.failure =
                        Some(Failure { kind: ErrorKind::Extract.as_str(), text: self.mask.text(&text) });
                    return;
                }
            }
        }
    }
}

/// The texts of a step's request.
fn templates(step: &plan::Step) -> Vec<&Template> {
    let mut templates = vec![&step.path];
    templates.extend(step.headers.iter().map(|(_, value)| value));
    match &step.body {
        Body::Text(text) => templates.push(text),
        Body::Multipart(multipart) => {
            for part in &multipart.parts {
                templates.push(&part.head);
                if let Content::Text(text) = &part.content {
                    templates.push(text);
                }
            }
        }
        Body::File(_) => {}
    }
    templates
}

/// Why an expression has no value, in words.
pub(super) fn said(missing: &Missing) -> String {
    let Missing { expression, error, name } = missing;
    match (error, name) {
        (EvaluateError::Absent, Some(name)) => {
            format!("{{{{ {expression} }}}} has no value: {name} is not there")
        }
        (EvaluateError::Exhausted, Some(name)) => {
            format!("{{{{ {expression} }}}} has no value: no row is left for {name}")
        }
        (error, Some(name)) => format!("{{{{ {expression} }}}} has no value: {error} ({name} is not there)"),
        (error, None) => format!("{{{{ {expression} }}}} has no value: {error}"),
    }
}

fn not_there(source: &Source) -> String {
    match source {
        Source::Json(path) => format!("nothing at {path}"),
        Source::Header(name, None) => format!("no header {name}"),
        Source::Header(name, Some(_)) => format!("no header {name} that matches"),
        Source::Regex(_) => "the regular expression does not match".to_owned(),
        Source::Css(css) => format!("nothing is selected by {css}"),
        Source::Body | Source::Status => "there is no answer".to_owned(),
    }
}

fn accepted(ranges: Option<&[RangeInclusive<u16>]>) -> String {
    let Some(ranges) = ranges else { return "200 to 399".to_owned() };
    let range = |range: &RangeInclusive<u16>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{} to {}", range.start(), range.end()),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}
