//! What went wrong, in few words that are the same each time.
//!
//! Invariant: a text names nothing that changes from one connection to the next (no seconds, no random bytes), so that
//! equal faults count together, and is bounded whatever the target's certificate holds.

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerMisbehaved};

use super::verify::SelfSigned;

/// Names of a certificate that an error lists.
const NAMES_SHOWN: usize = 3;

/// Characters of such a name that are shown.
const NAME_CHARS: usize = 64;

/// Why a connection is of no use: its handshake failed, or what protects it was violated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The certificate's time is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not come.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// It vouches for itself, and is not among the authorities that are trusted.
    #[error("the certificate is self-signed")]
    SelfSigned,
    /// No authority that is trusted vouches for it.
    #[error("the certificate is from an unknown authority")]
    UnknownIssuer,
    /// It belongs to somebody else.
    #[error("the certificate is not for {wanted}, but for {given}")]
    Name {
        /// The name or address that was asked for.
        wanted: String,
        /// The names it is for, or the first of them.
        given: String,
    },
    /// It is refused for another reason.
    #[error("the certificate is refused: {0}")]
    Certificate(String),
    /// The target sent a fatal alert (RFC 8446, 6.2), such as `handshake_failure` or `certificate_required`.
    #[error("the target sent the alert {0}")]
    Alert(String),
    /// The target agrees to none of the protocols that were offered (RFC 7301).
    #[error("the target does not speak {0}")]
    Alpn(&'static str),
    /// The connection ended before the handshake.
    #[error("the connection was closed during the handshake")]
    Ended,
    /// What came is no TLS record.
    #[error("what the target sent is not TLS")]
    NotTls,
    /// A record or message is larger than the protocol allows.
    #[error("a TLS record or message is too large")]
    TooLarge,
    /// Another violation of the protocol.
    #[error("{0}")]
    Other(String),
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(fault) => Self::from(fault),
            rustls::Error::AlertReceived(alert) => Self::Alert(name_of(alert)),
            rustls::Error::PeerSentOversizedRecord
            | rustls::Error::InvalidMessage(
                InvalidMessage::MessageTooLarge | InvalidMessage::HandshakePayloadTooLarge,
            ) => Self::TooLarge,
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::InvalidEmptyPayload,
            ) => Self::NotTls,
            rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
                Self::Other("the target chose a protocol that was not offered".to_owned())
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<CertificateError> for Error {
    fn from(fault: CertificateError) -> Self {
        match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::NotValidForNameContext { expected, presented } => {
                Self::Name { wanted: expected.to_str().into_owned(), given: list(&presented) }
            }
            CertificateError::Other(other) if other.0.downcast_ref::<SelfSigned>().is_some() => {
                Self::SelfSigned
            }
            CertificateError::Other(other) => Self::Certificate(other.0.to_string()),
            other => Self::Certificate(other.to_string()),
        }
    }
}

/// `DnsName("a")` and the like, as `rustls` gives them, as a list of names.
fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nobody (it has no subjectAltName)".to_owned();
    }
    let bare = |name: &String| -> String {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        inner.trim_matches('"').chars().take(NAME_CHARS).collect()
    };
    let shown: Vec<String> = names.iter().take(NAMES_SHOWN).map(bare).collect();
    let more = names.len() - shown.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

/// The alert's name as the RFC has it: `HandshakeFailure` is `handshake_failure`, `UnknownCA` is `unknown_ca`.
fn name_of(alert: AlertDescription) -> String {
    let mut name = String::new();
    let mut after_lower = false;
    for character in format!("{alert:?}").chars() {
        if character.is_uppercase() && after_lower {
            name.push('_');
        }
        after_lower = character.is_lowercase();
        name.push(character.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_rfc() {
        let names = [
            (AlertDescription::HandshakeFailure, "handshake_failure"),
            (AlertDescription::UnknownCA, "unknown_ca"),
            (AlertDescription::BadRecordMac, "bad_record_mac"),
            (AlertDescription::CertificateRequired, "certificate_required"),
        ];
        for (alert, name) in names {
            assert_eq!(name_of(alert), name);
        }
    }

    #[test]
    fn lists_of_names_are_short() {
        let names = |count| (0..count).map(|name| format!("DnsName(\"{name}.test\")")).collect::<Vec<_>>();
        assert!(list(&names(0)).starts_with("nobody"));
        assert_eq!(list(&names(1)), "0.test");
        assert_eq!(list(&["IpAddress(127.0.0.1)".to_owned()]), "127.0.0.1");
        assert_eq!(list(&names(5)), "0.test, 1.test, 2.test and 2 more");
        assert!(list(&["x".repeat(10_000)]).len() <= NAME_CHARS);
    }
}
