//! Where a database is and how to get in, as users of psql say it: an address, the environment, a password file.
//!
//! The address wins over the environment, the environment over defaults. Invariant: what is shown of an address holds no
//! password. Deliberately absent: service files (`PGSERVICE`), GSSAPI, and connection strings of `key=value` words.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Fault, passfile};

/// How long a server may take to let us in, unless `connect_timeout` says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Where Debian's servers, and then others, have their sockets.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
const DEFAULT_PORT: u16 = 5432;

/// A variable of the environment by its name.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How much of TLS is asked for (<https://www.postgresql.org/docs/current/libpq-ssl.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// Which certificates a server's is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// Those of the system (`sslrootcert=system`).
    System,
    /// Those of a file.
    File(PathBuf),
}

/// A PostgreSQL database and how to get in.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, an address, or the folder of a socket.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) database: String,
    pub(super) ssl_mode: SslMode,
    pub(super) roots: Option<Roots>,
    /// Certificate and key that we show.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    pub(super) options: Option<String>,
    pub(super) application: String,
    pub(super) connect_timeout: Duration,
    /// The schema with our tables; found where it is not said.
    pub(super) schema: Option<String>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// As it may be shown and typed again: without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, database) = (encoded(&self.user), encoded(&self.database));
        let port = self.port;
        match &self.schema {
            _ if self.is_socket() => {
                write!(f, "postgres://{user}@{}:{port}/{database}", encoded(&self.host))?
            }
            _ if self.host.contains(':') => write!(f, "postgres://{user}@[{}]:{port}/{database}", self.host)?,
            _ => write!(f, "postgres://{user}@{}:{port}/{database}", self.host)?,
        }
        self.schema.as_ref().map_or(Ok(()), |schema| write!(f, "?schema={}", encoded(schema)))
    }
}

impl Address {
    /// Whether the text is an address of a database rather than a folder.
    pub fn is_address(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Reads an address; what it leaves out comes from the environment: `PGHOST`, `PGPORT`, `PGDATABASE`, `PGUSER`,
    /// `PGPASSWORD`, `PGPASSFILE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`, `PGOPTIONS`, `PGAPPNAME`,
    /// `PGCONNECT_TIMEOUT`; and the password also from `~/.pgpass`.
    ///
    /// # Errors
    /// [`Fault::Address`] when it cannot be understood.
    pub fn parse(text: &str, environment: Environment<'_>) -> Result<Self, Fault> {
        let url = Url::parse(text).map_err(|why| Fault::Address { text: without_password(text), why })?;
        let wrong = |why: String| Fault::Address { text: without_password(text), why };
        let value = |key: &str, variable: &str| {
            url.value(key).or_else(|| environment(variable).filter(|value| !value.is_empty()))
        };
        let home = environment("HOME").map(PathBuf::from);
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name)).filter(|path| path.exists());

        let user = value("user", "PGUSER").or_else(|| environment("USER")).or_else(|| environment("LOGNAME"));
        let user = user.ok_or_else(|| wrong("it names no user".to_owned()))?;
        let host = value("host", "PGHOST").unwrap_or_else(default_host);
        let port = match value("port", "PGPORT") {
            Some(port) => port.parse().map_err(|_| wrong(format!("{port:?} is no port")))?,
            None => DEFAULT_PORT,
        };
        let ssl_mode = match value("sslmode", "PGSSLMODE") {
            Some(mode) => SslMode::parse(&mode).ok_or_else(|| {
                wrong(format!(
                    "sslmode is disable, allow, prefer, require, verify-ca or verify-full, not {mode:?}"
                ))
            })?,
            None => SslMode::Prefer,
        };
        let roots = match value("sslrootcert", "PGSSLROOTCERT") {
            Some(name) if name == "system" => Some(Roots::System),
            Some(file) => Some(Roots::File(file.into())),
            None => in_home(".postgresql/root.crt").map(Roots::File),
        };
        let certificate = value("sslcert", "PGSSLCERT")
            .map(PathBuf::from)
            .or_else(|| in_home(".postgresql/postgresql.crt"));
        let key =
            value("sslkey", "PGSSLKEY").map(PathBuf::from).or_else(|| in_home(".postgresql/postgresql.key"));
        let connect_timeout = match value("connect_timeout", "PGCONNECT_TIMEOUT") {
            Some(seconds) => {
                let seconds: u64 = seconds
                    .parse()
                    .map_err(|_| wrong(format!("connect_timeout is in seconds, not {seconds:?}")))?;
                // As libpq: 0 waits for ever, which a run must not; a minute is long enough.
                Duration::from_secs(if seconds == 0 { 60 } else { seconds })
            }
            None => CONNECT_TIMEOUT,
        };
        let database = value("dbname", "PGDATABASE").unwrap_or_else(|| user.clone());
        let mut address = Self {
            host,
            port,
            user,
            password: value("password", "PGPASSWORD"),
            database,
            ssl_mode,
            roots,
            identity: certificate.zip(key),
            options: value("options", "PGOPTIONS"),
            application: value("application_name", "PGAPPNAME").unwrap_or_else(|| "groundswell".to_owned()),
            connect_timeout,
            schema: url.value("schema"),
        };
        if address.password.is_none() {
            let file = value("passfile", "PGPASSFILE").map(PathBuf::from);
            let file = file.or_else(|| home.as_ref().map(|home| home.join(".pgpass")));
            address.password = file.and_then(|file| passfile::look_up(&file, &address));
        }
        Ok(address)
    }

    /// The same database, with our tables in `schema`.
    #[must_use]
    pub fn with_schema(self, schema: &str) -> Self {
        Self { schema: Some(schema.to_owned()), ..self }
    }

    /// Who asks.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the host is a folder with a socket in it.
    pub(super) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

fn default_host() -> String {
    let folder = SOCKET_FOLDERS
        .into_iter()
        .find(|folder| Path::new(folder).join(format!(".s.PGSQL.{DEFAULT_PORT}")).exists());
    folder.unwrap_or("localhost").to_owned()
}

/// The parts of an address, decoded; later values of a key win.
struct Url(Vec<(String, String)>);

impl Url {
    fn value(&self, key: &str) -> Option<String> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (_, rest) = text.split_once("://").ok_or("it has no ://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (login, host),
            None => ("", authority),
        };
        let mut values = Vec::new();
        let mut set = |key: &str, value: &str| -> Result<(), String> {
            if !value.is_empty() {
                values.push((key.to_owned(), decoded(value)?));
            }
            Ok(())
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        set("user", user)?;
        set("password", password)?;
        set("dbname", database)?;
        if host.contains(',') {
            return Err("it names several hosts; name one, or a name that leads to the primary".to_owned());
        }
        match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((host, port)) => {
                set("host", host)?;
                set("port", port.trim_start_matches(':'))?;
            }
            None => {
                let (host, port) = host.split_once(':').unwrap_or((host, ""));
                set("host", host)?;
                set("port", port)?;
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no ="))?;
            if !KNOWN.contains(&key) {
                return Err(format!("it has an option {key:?}; known are {}", KNOWN.join(", ")));
            }
            set(key, value)?;
        }
        Ok(Self(values))
    }
}

/// What may stand behind the question mark.
const KNOWN: [&str; 14] = [
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "options",
    "application_name",
    "connect_timeout",
    "schema",
];

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits =
            [rest.next(), rest.next()].map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
        match digits {
            [Some(high), Some(low)] => bytes.push(u8::try_from(high * 16 + low).unwrap_or(0)),
            _ => return Err("a % is not followed by two hexadecimal digits".to_owned()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The text with what stands for a password left out, also where the rest cannot be understood.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split(':').next().unwrap_or("");
            format!("{user}@{host}")
        }
        None => rest.to_owned(),
    };
    let rest = match rest.split_once('?') {
        Some((path, query)) => {
            let shown: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("password=")).collect();
            if shown.is_empty() { path.to_owned() } else { format!("{path}?{}", shown.join("&")) }
        }
        None => rest,
    };
    format!("{scheme}://{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Address, Fault> {
        Address::parse(text, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_address_wins_over_the_environment() {
        let env =
            [("PGUSER", "u"), ("PGHOST", "h"), ("PGPORT", "7"), ("PGDATABASE", "d"), ("PGPASSWORD", "p")];
        let address = parse("postgres://", &env).unwrap();
        assert_eq!(address.to_string(), "postgres://u@h:7/d");
        assert_eq!(address.password.as_deref(), Some("p"));
        let address =
            parse("postgresql://a%40b:s%3Ac@[::1]:1/x%2Fy?sslmode=verify-full&schema=load", &env).unwrap();
        assert_eq!(address.to_string(), "postgres://a%40b@[::1]:1/x%2Fy?schema=load");
        assert_eq!((address.user.as_str(), address.password.as_deref()), ("a@b", Some("s:c")));
        assert_eq!((address.database.as_str(), address.ssl_mode), ("x/y", SslMode::VerifyFull));
        let address = parse("postgres://u@%2Frun%2Fpg/d?host=/other", &[]).unwrap();
        assert!(address.is_socket());
        assert_eq!(address.to_string(), "postgres://u@%2Fother:5432/d");
        assert_eq!(parse("postgres://h/", &[("USER", "me")]).unwrap().to_string(), "postgres://me@h:5432/me");
    }

    #[test]
    fn faults_say_what_is_wrong_and_no_password() {
        let said = |text: &str| parse(text, &[("USER", "me")]).unwrap_err().to_string();
        for (text, why) in [
            ("postgres://u:secret@h:x/d", "\"x\" is no port"),
            ("postgres://u:secret@h/d?sslmode=on&password=secret", "sslmode is disable"),
            ("postgres://u:secret@h/d?nothing=1", "it has an option \"nothing\""),
            ("postgres://u:secret@h,i/d", "several hosts"),
            ("postgres://u:%zz@h/d", "two hexadecimal digits"),
        ] {
            let said = said(text);
            assert!(said.contains(why), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
        assert!(parse("postgres://h/d", &[]).unwrap_err().to_string().contains("it names no user"));
    }
}
