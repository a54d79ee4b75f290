//! Who a client is: sessions, signing in by form and by JSON.
//!
//! A session is named by a token, which a client brings back as the cookie `session` or as a bearer token. Tokens are
//! unique, not secret: the shop has nothing to protect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::json;

use super::Shop;
use super::cart::Cart;
use super::message::{Answer, Problem, Reply, Request, value_of};
use super::page::page;
use super::table::Table;

/// Sessions that are remembered, carts included. With full carts they take about 100 MB.
const MAX_SESSIONS: usize = 65_536;

/// The password of every user.
const PASSWORD: &str = "secret";

/// The longest name of a user.
const MAX_USER_BYTES: usize = 64;

/// A visit, of which the user may not be known yet.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub user: Option<Arc<str>>,
    pub cart: Cart,
    csrf: String,
}

/// All sessions, by their tokens.
#[derive(Debug)]
pub(crate) struct Sessions {
    table: Table<Session>,
    last: AtomicU64,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(MAX_SESSIONS), last: AtomicU64::new(0) }
    }

    pub(crate) fn clear(&self) {
        self.table.clear();
    }

    /// Opens a session; its token.
    fn open(&self, session: Session) -> String {
        let token = self.token();
        self.table.set(&token, session);
        token
    }

    /// A token that was not given before, in 32 digits.
    fn token(&self) -> String {
        let number = self.last.fetch_add(2, Ordering::Relaxed);
        format!("{:016x}{:016x}", scramble(number), scramble(number + 1))
    }

    /// Shows `change` the session of a signed-in client.
    ///
    /// # Errors
    /// The client is not signed in.
    pub(crate) fn signed_in<R>(
        &self,
        request: &Request<'_>,
        change: impl FnOnce(&Arc<str>, &mut Cart) -> R,
    ) -> Result<R, Problem> {
        let in_session = |session: &mut Session| {
            let Session { user, cart, .. } = session;
            user.as_ref().map(|user| change(user, cart))
        };
        let result = token_of(request).and_then(|token| self.table.with(token, in_session)).flatten();
        result.ok_or_else(|| {
            Problem::new(401, "sign in first, and send the token or the cookie")
                .with("WWW-Authenticate", "Bearer")
        })
    }
}

/// A permutation of the numbers (the finalizer of SplitMix64): different numbers stay different.
fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn token_of<'b>(request: &Request<'b>) -> Option<&'b str> {
    let bearer = request.authorization.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    bearer.or_else(|| {
        let mut cookies = request.cookie?.split(';').map(str::trim);
        cookies.find_map(|cookie| cookie.strip_prefix("session="))
    })
}

fn cookie(token: &str) -> String {
    format!("session={token}; Path=/; HttpOnly; SameSite=Lax")
}

/// Whether somebody may sign in.
fn is_welcome(user: &str, password: &str) -> bool {
    !user.is_empty() && user.len() <= MAX_USER_BYTES && password == PASSWORD
}

/// Signs in: counts it, and opens a session.
fn sign_in(shop: &Shop, user: &str) -> String {
    shop.record.login(user);
    shop.sessions.open(Session { user: Some(user.into()), ..Session::default() })
}

#[derive(Debug, Deserialize)]
struct Credentials {
    user: String,
    password: String,
}

/// `POST /api/login`
pub(crate) fn api_login(shop: &Shop, request: &Request<'_>) -> Answer {
    let Credentials { user, password } = request.json()?;
    if !is_welcome(&user, &password) {
        return Err(Problem::new(401, "user or password is wrong").with("WWW-Authenticate", "Bearer"));
    }
    let token = sign_in(shop, &user);
    Ok(Reply::json(200, &json!({"token": token, "user": {"id": user_id(&user), "name": user}})))
}

/// The same for the same name everywhere, and small enough for every reader of JSON (FNV-1a, cut to 53 bits).
fn user_id(user: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    user.bytes().fold(0xcbf2_9ce4_8422_2325, mix) >> 11
}

/// `GET /login`: a form. Who comes without a session is given one.
pub(crate) fn login_page(shop: &Shop, request: &Request<'_>) -> Reply {
    let known = token_of(request)
        .and_then(|token| shop.sessions.table.with(token, |session| session.csrf.clone()))
        .filter(|csrf| !csrf.is_empty());
    if let Some(csrf) = known {
        return login_form(200, &csrf, "");
    }
    let csrf = shop.sessions.token();
    let token = shop.sessions.open(Session { csrf: csrf.clone(), ..Session::default() });
    login_form(200, &csrf, "").with("Set-Cookie", cookie(&token))
}

fn login_form(status: u16, csrf: &str, fault: &str) -> Reply {
    let fault = if fault.is_empty() { String::new() } else { format!("<p class=\"fault\">{fault}</p>\n") };
    let body = format!(
        "{fault}<form method=\"post\" action=\"/login\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <input name=\"user\"> <input type=\"password\" name=\"password\">\n\
         <button>Sign in</button>\n</form>\n"
    );
    page(status, "Sign in", &body)
}

/// `POST /login`: what the form sends. A session that is signed in is a new one, with a new cookie.
pub(crate) fn submit_login(shop: &Shop, request: &Request<'_>) -> Answer {
    let text = std::str::from_utf8(request.body)
        .map_err(|_| Problem::new(400, "the body: a form in UTF-8 was expected"))?;
    let field = |name| value_of(text, name).unwrap_or_default();
    let (user, csrf) = (field("user"), field("csrf"));
    let token = token_of(request).unwrap_or_default();
    let expected = shop.sessions.table.with(token, |session| session.csrf.clone()).unwrap_or_default();
    if csrf.is_empty() || csrf != expected {
        return Ok(page(403, "Forbidden", "<p class=\"fault\">the form is not of this session</p>\n"));
    }
    if !is_welcome(&user, &field("password")) {
        return Ok(login_form(403, &expected, "user or password is wrong"));
    }
    shop.sessions.table.update(token, |session| *session = None);
    Ok(Reply::see_other("/account").with("Set-Cookie", cookie(&sign_in(shop, &user))))
}

/// `GET /account`; leads to the form who is not signed in.
pub(crate) fn account_page(shop: &Shop, request: &Request<'_>) -> Reply {
    match shop.sessions.signed_in(request, |user, cart| (user.clone(), cart.count())) {
        Ok((user, count)) => {
            let body = format!("<p>In the cart: <span class=\"count\">{count}</span></p>\n");
            page(200, &format!("Hello, {user}"), &body)
        }
        Err(_) => Reply::see_other("/login"),
    }
}
