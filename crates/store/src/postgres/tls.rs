//! TLS towards the server, with as much trust as `sslmode` asks for.
//!
//! As libpq does: `prefer` and `require` take any certificate, unless root certificates are given; `verify-ca` asks for a
//! known issuer, `verify-full` also for the host's name.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::address::{Roots, SslMode};
use super::{Address, Fault};

/// What TLS connections to that address are made with.
pub(super) fn configuration(address: &Address) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(address, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Tls { place: address.to_string(), why: error.to_string() })?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = &address.identity else { return Ok(builder.with_no_client_auth()) };
    let file = |path: &std::path::Path, why: &dyn std::fmt::Display| Fault::File {
        path: path.display().to_string(),
        why: why.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, &error))?;
    builder.with_client_auth_cert(chain, secret).map_err(|error| file(certificate, &error))
}

fn verifier(address: &Address, provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, Fault> {
    let verifies = match (address.ssl_mode, &address.roots) {
        (SslMode::VerifyCa | SslMode::VerifyFull, roots) => roots.as_ref().or(Some(&Roots::System)),
        // As libpq: a root certificate that is there is asked, as by verify-ca.
        (SslMode::Require, roots) => roots.as_ref(),
        (SslMode::Disable | SslMode::Allow | SslMode::Prefer, _) => None,
    };
    let by_issuer = match verifies {
        None => None,
        Some(roots) => {
            let roots = Arc::new(store(address, roots)?);
            let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            Some(built.map_err(|error| Fault::Tls { place: address.to_string(), why: error.to_string() })?)
        }
    };
    let by_name = address.ssl_mode == SslMode::VerifyFull;
    Ok(Arc::new(Verifier { by_issuer, by_name, provider: Arc::clone(provider) }))
}

fn store(address: &Address, roots: &Roots) -> Result<RootCertStore, Fault> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let why = "this machine has no root certificates; name a file by sslrootcert".to_owned();
                return Err(Fault::Tls { place: address.to_string(), why });
            }
        }
        Roots::File(path) => {
            let fault = |why: String| Fault::File { path: path.display().to_string(), why };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| fault(error.to_string()))?;
                store.add(certificate).map_err(|error| fault(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(fault("it holds no certificate".to_owned()));
            }
        }
    }
    Ok(store)
}

/// Asks of a server's certificate what the mode asks; always that the server holds its key.
#[derive(Debug)]
struct Verifier {
    by_issuer: Option<Arc<WebPkiServerVerifier>>,
    by_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(by_issuer) = &self.by_issuer else { return Ok(ServerCertVerified::assertion()) };
        let verified =
            by_issuer.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.by_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
