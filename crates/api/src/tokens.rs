//! The two tokens of a server that listens beyond loopback: one reads, one also controls.
//!
//! Invariant: a token is shown once, when it is made; the data folder keeps only its SHA-256, in a file that its owner
//! alone can read. A plain hash is enough, since a token is 256 random bits and not a password.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const FILE: &str = "api-tokens.json";
const TOKEN_BYTES: usize = 32;

/// Tokens that were just made; the only time they can be shown.
#[derive(Debug, Clone)]
pub struct NewTokens {
    /// Allows every call.
    pub controlling: String,
    /// Allows the calls that change nothing.
    pub reading: String,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Reading,
    Controlling,
}

/// The hashes of the tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    controlling_sha256: String,
    reading_sha256: String,
}

impl Tokens {
    /// The tokens of the data folder; makes and gives them when it has none.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Option<NewTokens>)> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(text) => Ok((serde_json::from_slice(&text)?, None)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = NewTokens { controlling: random()?, reading: random()? };
                let tokens =
                    Self { controlling_sha256: hash(&made.controlling), reading_sha256: hash(&made.reading) };
                let mut file =
                    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                file.write_all(&serde_json::to_vec_pretty(&tokens)?)?;
                file.sync_all()?;
                Ok((tokens, Some(made)))
            }
            Err(error) => Err(error),
        }
    }

    /// What the bearer of `token` may do. Hashes are compared, so the time taken tells nothing of the token.
    pub(crate) fn role(&self, token: &str) -> Option<Role> {
        let hash = hash(token);
        if hash == self.controlling_sha256 {
            Some(Role::Controlling)
        } else {
            (hash == self.reading_sha256).then_some(Role::Reading)
        }
    }
}

fn random() -> io::Result<String> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    let got = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if got != TOKEN_BYTES {
        return Err(io::Error::other("the system gave too few random bytes"));
    }
    Ok(hex(&bytes))
}

fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Role, Tokens};

    #[test]
    fn tokens_are_shown_once_and_kept_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let (first, made) = Tokens::open(folder.path()).unwrap();
        let made = made.unwrap();
        let (again, none) = Tokens::open(folder.path()).unwrap();
        assert!(none.is_none());
        for tokens in [first, again] {
            assert_eq!(tokens.role(&made.controlling), Some(Role::Controlling));
            assert_eq!(tokens.role(&made.reading), Some(Role::Reading));
            assert_eq!(tokens.role("guess"), None);
        }
        let kept = std::fs::read_to_string(folder.path().join(super::FILE)).unwrap();
        assert!(!kept.contains(&made.controlling) && !kept.contains(&made.reading));
    }
}
