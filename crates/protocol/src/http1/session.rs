//! An exchange after the other on a connection, for the loops.

use super::{Exchange, Progress, render};
use crate::{
    Begun, Error, Heard, Kept, Parts, Protocol, Request, RequestError, Response, Session, Tag, Want,
};

/// HTTP/1.1 without pipelining: one request at a time on each connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Http1;

impl Protocol for Http1 {
    fn render(&self, parts: &Parts<'_>) -> Result<Request, RequestError> {
        render(parts)
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(OneByOne::default())
    }
}

#[derive(Debug, Default)]
struct OneByOne {
    exchange: Exchange,
    output: Vec<u8>,
    tag: Tag,
    room: u32,
    is_out: bool,
    /// The request's, while its body waits for permission.
    held_back: Option<Request>,
    has_started: bool,
}

impl OneByOne {
    fn done(&mut self, response: Response) -> Heard {
        self.is_out = false;
        // A final response instead of the permission: the body was never sent, and the framing is lost.
        let keep_alive = response.keep_alive && self.held_back.take().is_none();
        self.room = u32::from(keep_alive);
        Heard::Done(self.tag, Response { keep_alive, ..response })
    }
}

impl Session for OneByOne {
    fn reset(&mut self) {
        self.room = 0;
        self.is_out = false;
        self.held_back = None;
        self.output.clear();
    }

    fn start(&mut self, heard: &mut Vec<Heard>) {
        self.room = 1;
        heard.push(Heard::Ready);
    }

    #[inline]
    fn room(&self) -> u32 {
        self.room
    }

    #[inline]
    fn begin(&mut self, tag: Tag, request: &Request, want: Want) -> Begun {
        self.exchange.begin(request, want);
        (self.tag, self.is_out, self.has_started, self.room) = (tag, true, false, 0);
        if request.expects_continue() {
            self.output.extend_from_slice(&request.bytes()[..request.body_at()]);
            self.held_back = Some(request.clone());
            return Begun::Queued;
        }
        Begun::AsRendered
    }

    #[inline]
    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    #[inline]
    fn hear(&mut self, bytes: &mut [u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        match self.exchange.feed(bytes)? {
            Progress::Done(response) => heard.push(self.done(response)),
            Progress::NeedMore => {
                if !std::mem::replace(&mut self.has_started, true) {
                    heard.push(Heard::Started(self.tag));
                }
                if self.held_back.is_some() && self.exchange.may_continue() {
                    self.proceed();
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, heard: &mut Vec<Heard>) -> Result<(), Error> {
        self.room = 0;
        if self.is_out {
            let response = self.exchange.eof()?;
            heard.push(self.done(Response { keep_alive: false, ..response }));
        }
        Ok(())
    }

    fn cancel(&mut self, _tag: Tag) -> bool {
        self.is_out = false;
        self.room = 0;
        false
    }

    fn kept(&self, _tag: Tag) -> Kept<'_> {
        Kept { headers: self.exchange.headers(), body: self.exchange.body() }
    }

    fn is_held_back(&self) -> bool {
        self.held_back.is_some()
    }

    fn proceed(&mut self) {
        if let Some(request) = self.held_back.take() {
            self.output.extend_from_slice(&request.bytes()[request.body_at()..]);
        }
    }
}
