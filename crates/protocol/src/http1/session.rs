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
pub(super) struct OneByOne {
    exchange: Exchange,
    output: Vec<u8>,
    tag: Tag,
    room: u32,
    is_out: bool,
    /// The request whose body waits for permission, or was never sent.
    held_back: Option<Request>,
    has_started: bool,
}

impl OneByOne {
    fn hear_some(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> Result<(), Error> {
        let progress = self.exchange.feed(bytes)?;
        // Before the answer is looked at, which may be in the same bytes: who gave permission waits for the body.
        if self.held_back.is_some() && self.exchange.may_continue() {
            self.proceed();
        }
        match progress {
            Progress::Done(response) => heard.push(self.done(response)),
            Progress::NeedMore if self.is_out && self.exchange.started() && !self.has_started => {
                self.has_started = true;
                heard.push(Heard::Started(self.tag));
            }
            Progress::NeedMore => {}
        }
        Ok(())
    }

    fn done(&mut self, response: Response) -> Heard {
        self.is_out = false;
        // An answer instead of the permission: the target may still wait for as many bytes as the head announced, so that
        // the next request would be taken for the body.
        let keep_alive = response.keep_alive && self.held_back.is_none();
        self.room = u32::from(keep_alive);
        Heard::Done(self.tag, Response { keep_alive, ..response })
    }

    /// Nothing is out, and nothing more can be begun.
    fn give_up(&mut self) {
        self.exchange.abandon();
        self.room = 0;
        self.is_out = false;
        self.held_back = None;
    }
}

impl Session for OneByOne {
    fn reset(&mut self) {
        self.give_up();
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
        self.held_back = None;
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
        let result = self.hear_some(bytes, heard);
        if result.is_err() {
            self.give_up();
        }
        result
    }

    fn end(&mut self, heard: &mut Vec<Heard>) -> Result<(), Error> {
        let result = if self.is_out { self.exchange.eof().map(Some) } else { Ok(None) };
        if let Ok(Some(response)) = result {
            heard.push(self.done(Response { keep_alive: false, ..response }));
        }
        self.give_up();
        result.map(|_| ()).map_err(Error::from)
    }

    fn cancel(&mut self, tag: Tag) -> bool {
        if !self.is_out || tag != self.tag {
            return true;
        }
        self.give_up();
        false
    }

    fn kept(&self, tag: Tag) -> Kept<'_> {
        if self.is_out || tag != self.tag {
            return Kept::default();
        }
        Kept { headers: self.exchange.headers(), body: self.exchange.body() }
    }

    fn is_held_back(&self) -> bool {
        self.held_back.is_some()
    }

    fn proceed(&mut self) {
        if self.is_out
            && let Some(request) = self.held_back.take()
        {
            self.output.extend_from_slice(&request.bytes()[request.body_at()..]);
        }
    }
}
