//! Requests whose text depends on the iteration, and what is taken from their answers.

use std::sync::Arc;

use data::Files;
use plan::{Body, Content, EvaluateError, Missing, Named, Scope, Signing, Template};
use protocol::aws::{self, Signer};
use protocol::{Parts, Protocol, Request, RequestError};

use crate::PrepareError;

/// Bytes of a body beside which values have room in a socket.
const SMALL_BYTES: usize = 2048;

/// A body, as far as it is known before the run.
#[derive(Debug)]
pub(crate) enum Payload {
    Bytes(Arc<[u8]>),
    Text(Template),
    Parts(Vec<Piece>),
}

/// A piece of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Arc<[u8]>),
    Text(Template),
}

impl Payload {
    /// # Errors
    /// A file is not there.
    pub(crate) fn of(body: &Body, secrets: &[String], files: &Files) -> Result<Self, PrepareError> {
        let file = |path: &String| {
            files.get(path).cloned().ok_or_else(|| PrepareError::NoFile { path: path.clone() })
        };
        match body {
            Body::File(path) => file(path).map(Self::Bytes),
            Body::Text(text) => {
                let text = text.settle(secrets);
                Ok(match text.as_text() {
                    Some(text) => Self::Bytes(text.as_bytes().into()),
                    None => Self::Text(text),
                })
            }
            Body::Multipart(multipart) => {
                let mut pieces = Vec::new();
                for (number, part) in multipart.parts.iter().enumerate() {
                    let between = if number == 0 { "--" } else { "\r\n--" };
                    let boundary = format!("{between}{}\r\n", multipart.boundary);
                    pieces.push(Piece::Bytes(boundary.as_bytes().into()));
                    pieces.push(Piece::Text(part.head.settle(secrets)));
                    pieces.push(match &part.content {
                        Content::Text(text) => Piece::Text(text.settle(secrets)),
                        Content::File(path) => Piece::Bytes(file(path)?),
                    });
                }
                pieces.push(Piece::Bytes(format!("\r\n--{}--\r\n", multipart.boundary).as_bytes().into()));
                Ok(Self::joined(pieces))
            }
        }
    }

    /// All of it together where it is always the same.
    fn joined(pieces: Vec<Piece>) -> Self {
        let mut bytes = Vec::new();
        for piece in &pieces {
            match piece {
                Piece::Bytes(piece) => bytes.extend_from_slice(piece),
                Piece::Text(text) => match text.as_text() {
                    Some(text) => bytes.extend_from_slice(text.as_bytes()),
                    None => return Self::Parts(pieces),
                },
            }
        }
        Self::Bytes(bytes.into())
    }

    fn write(&self, scope: &dyn Scope, text: &mut String, out: &mut Vec<u8>) -> Result<(), EvaluateError> {
        out.clear();
        let mut write = |template: &Template, out: &mut Vec<u8>| {
            text.clear();
            template.write(scope, text)?;
            out.extend_from_slice(text.as_bytes());
            Ok(())
        };
        match self {
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Text(template) => write(template, out)?,
            Self::Parts(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                        Piece::Text(template) => write(template, out)?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// A request that is made anew in each iteration.
#[derive(Debug)]
pub(crate) struct Varying {
    pub(crate) method: String,
    pub(crate) path: Template,
    /// Values of those that vary are empty.
    pub(crate) headers: Vec<(String, String)>,
    /// Which they are, and what they become.
    pub(crate) varying: Vec<(usize, Template)>,
    pub(crate) body: Payload,
    pub(crate) expects_continue: bool,
    pub(crate) signing: Option<Box<Signing>>,
}

/// One target, as requests name it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
    pub(crate) authority: String,
    pub(crate) base_path: String,
}

/// Why a request could not be made.
#[derive(Debug)]
pub(crate) enum Unmade {
    Value(EvaluateError),
    /// The text does not fit its place; a path with a space, a header with a line break.
    Text,
}

impl From<EvaluateError> for Unmade {
    fn from(error: EvaluateError) -> Self {
        Self::Value(error)
    }
}

/// Room in which a request is made; kept for its memory.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    text: String,
    /// By step, with the headers that do not vary.
    pub(crate) headers: Vec<Vec<(String, String)>>,
}

impl Varying {
    /// Path and body, where the request is always the same.
    pub(crate) fn fixed(&self) -> Option<(String, Arc<[u8]>)> {
        match (&self.body, self.path.as_text()) {
            // A signature is of its second.
            (Payload::Bytes(body), Some(path)) if self.varying.is_empty() && self.signing.is_none() => {
                Some((path.to_owned(), Arc::clone(body)))
            }
            _ => None,
        }
    }

    /// Whether an idle socket has probably room for all of it.
    pub(crate) fn is_small(&self) -> bool {
        !self.expects_continue
            && match &self.body {
                Payload::Bytes(bytes) => bytes.len() <= SMALL_BYTES,
                Payload::Text(text) => text.len() <= SMALL_BYTES,
                Payload::Parts(_) => false,
            }
    }

    /// Writes path, headers and body, of step number `step`, into `room`.
    pub(crate) fn write(
        &self,
        step: u32,
        place: &Place,
        scope: &dyn Scope,
        room: &mut Room,
    ) -> Result<(), EvaluateError> {
        let Room { path, body, text, headers } = room;
        path.clear();
        path.push_str(&place.base_path);
        self.path.write(scope, path)?;
        if headers.len() <= step as usize {
            headers.resize_with(step as usize + 1, Vec::new);
        }
        let headers = &mut headers[step as usize];
        if headers.is_empty() {
            headers.clone_from(&self.headers);
        }
        // The last signature is not signed.
        headers.truncate(self.headers.len());
        for (number, template) in &self.varying {
            let value = &mut headers[*number].1;
            value.clear();
            template.write(scope, value)?;
        }
        self.body.write(scope, text, body)?;
        let Some(signing) = &self.signing else { return Ok(()) };
        let value = |template: &Template| {
            let mut text = String::new();
            template.write(scope, &mut text).map(|()| text)
        };
        let session_token = signing.session_token.as_ref().map(value).transpose()?;
        let signer = Signer {
            region: &value(&signing.region)?,
            service: &value(&signing.service)?,
            access_key: &value(&signing.access_key)?,
            secret_key: &value(&signing.secret_key)?,
            session_token: session_token.as_deref(),
        };
        let signed = aws::sign(&signer, &self.parts(place, path, headers, body, ""), scope.unix_ms() / 1000);
        headers.extend(signed);
        Ok(())
    }

    fn parts<'a>(
        &'a self,
        place: &'a Place,
        path: &'a str,
        headers: &'a [(String, String)],
        body: &'a [u8],
        user_agent: &'a str,
    ) -> Parts<'a> {
        Parts {
            method: &self.method,
            scheme: place.scheme,
            authority: &place.authority,
            path,
            headers,
            body,
            user_agent,
            expects_continue: self.expects_continue,
        }
    }

    /// What [`write`](Self::write) wrote, as a request.
    pub(crate) fn render(
        &self,
        step: u32,
        place: &Place,
        room: &Room,
        protocol: &dyn Protocol,
        user_agent: &str,
    ) -> Result<Request, RequestError> {
        let headers = &room.headers[step as usize];
        protocol.render(&self.parts(place, &room.path, headers, &room.body, user_agent))
    }
}

impl Varying {
    /// The first expression of it that has no value.
    pub(crate) fn missing(&self, scope: &dyn Scope, named: Named<'_>) -> Option<Missing> {
        let headers = self.varying.iter().map(|(_, template)| template);
        let body: Box<dyn Iterator<Item = &Template>> = match &self.body {
            Payload::Bytes(_) => Box::new(std::iter::empty()),
            Payload::Text(template) => Box::new(std::iter::once(template)),
            Payload::Parts(pieces) => Box::new(pieces.iter().filter_map(|piece| match piece {
                Piece::Text(template) => Some(template),
                Piece::Bytes(_) => None,
            })),
        };
        std::iter::once(&self.path).chain(headers).chain(body).find_map(|text| text.missing(scope, named))
    }
}
