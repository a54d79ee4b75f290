//! Who sends a request: the key `auth` of a plan, scenario or step.

use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Encoding, Expression, Known, Names, Template};
use crate::read::{self, Fields};
use crate::shapes;
use crate::tree::Node;

const KEYS: [&str; 3] = ["basic", "bearer", "aws"];

/// Headers that signing writes, beside `authorization`.
const SIGNERS: [&str; 3] = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// What `auth` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Auth {
    /// The value of the header `authorization`.
    Header(Template),
    Aws(Box<Signing>),
}

/// How a request is signed for AWS, by Signature Version 4.
#[derive(Debug, Clone, PartialEq)]
pub struct Signing {
    /// Such as `eu-central-1`.
    pub region: Template,
    /// Such as `s3` or `execute-api`.
    pub service: Template,
    /// Whose key it is.
    pub access_key: Template,
    /// The key.
    pub secret_key: Template,
    /// For keys that hold for a while.
    pub session_token: Option<Template>,
}

impl Auth {
    fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Header(value) => vec![value],
            Self::Aws(signing) => signing.templates().collect(),
        }
    }

    /// Whether all values of the iteration that it uses are among those that were saved before.
    pub(crate) fn is_known(&self, names: &Names) -> bool {
        self.templates().into_iter().all(|template| template.is_known(names))
    }

    /// The sources of data that it uses, as indices into the plan's.
    pub(crate) fn sources(&self) -> impl Iterator<Item = u16> {
        self.templates().into_iter().flat_map(Template::sources)
    }
}

impl Signing {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let Self { region, service, access_key, secret_key, session_token } = self;
        [region, service, access_key, secret_key].into_iter().chain(session_token)
    }

    /// With what is known in its places.
    pub fn settle<'k>(&self, known: impl Into<Known<'k>>) -> Self {
        let known = known.into();
        Self {
            region: self.region.settle(known),
            service: self.service.settle(known),
            access_key: self.access_key.settle(known),
            secret_key: self.secret_key.settle(known),
            session_token: self.session_token.as_ref().map(|token| token.settle(known)),
        }
    }
}

/// Whether signing writes the header of this name.
pub(crate) fn is_signers(name: &str) -> bool {
    SIGNERS.iter().any(|written| written.eq_ignore_ascii_case(name))
}

pub(crate) fn auth(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Auth> {
    let fields = Fields::of(faults, node, &shapes::AUTH, &[])?;
    let mut kinds = KEYS.into_iter().filter(|kind| fields.has(kind));
    let (kind, other) = (kinds.next(), kinds.next());
    let Some(kind) = kind else {
        let wrong = Wrong::new("missing", "auth is basic, bearer or aws");
        return read::fault(faults, node, wrong.help("write auth: { bearer: \"{{ token }}\" }"));
    };
    if other.is_some() {
        return read::fault(faults, node, Wrong::new("not_together", "auth is one of basic, bearer and aws"));
    }
    let value = fields.required(faults, kind)?;
    match kind {
        "basic" => basic(faults, names, value),
        "bearer" => {
            let token = read::template(faults, names, value, "the token", Encoding::Plain)?;
            let mut value = Template::from("Bearer ".to_owned());
            value.push(token);
            Some(Auth::Header(value))
        }
        _ => aws(faults, names, value),
    }
}

fn basic(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Auth> {
    let fields = Fields::of(faults, node, &shapes::BASIC, &[])?;
    let mut part = |key: &str| {
        let node = fields.required(faults, key)?;
        read::template(faults, names, node, key, Encoding::Plain)
    };
    let (user, password) = (part("user"), part("password"));
    let (user, password) = (user?, password?);
    if user.texts().any(|text| text.contains(':')) {
        let wrong = Wrong::new(
            "colon_in_user",
            "a user's name has no colon: it would end there, and the password begin",
        );
        let entry = fields.entry("user")?;
        return read::fault(faults, &entry.value, wrong);
    }
    let mut value = Template::from("Basic ".to_owned());
    value.push_value(Expression::credentials(user, password), Encoding::Plain);
    Some(Auth::Header(value))
}

fn aws(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Auth> {
    let fields = Fields::of(faults, node, &shapes::AWS, &[])?;
    let mut part = |key: &str| {
        let node = fields.required(faults, key)?;
        read::template(faults, names, node, key, Encoding::Plain)
    };
    let (region, service) = (part("region"), part("service"));
    let (access_key, secret_key) = (part("access_key"), part("secret_key"));
    let session_token =
        if fields.has("session_token") { part("session_token").map(Some) } else { Some(None) };
    Some(Auth::Aws(Box::new(Signing {
        region: region?,
        service: service?,
        access_key: access_key?,
        secret_key: secret_key?,
        session_token: session_token?,
    })))
}
