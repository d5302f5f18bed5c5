//! Which certificates of a webhook are believed: those whose chain leads to the bundle, and those
//! that stand in the bundle themselves.
//!
//! rustls refuses a self-signed certificate with `CA:TRUE` as a server's own, even when it is in
//! the bundle; that is just what `openssl req -x509` makes and what the original's receivers use.
//! So a presented leaf that is equal, byte for byte, to a certificate of the bundle is believed
//! too, with its name and dates checked.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// Believes a chain to the bundle, or a certificate of the bundle itself.
#[derive(Debug)]
pub struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No certificate in it.
    #[error("there is no certificate in it")]
    Empty,
    /// A certificate that cannot be read.
    #[error("certificate {number} of it cannot be used")]
    Certificate {
        /// Which, counted from 1.
        number: usize,
        /// Why.
        source: Error,
    },
    /// The verifier cannot be built.
    #[error("no verifier can be built from it")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
}

impl Bundle {
    /// Trusts these certificates.
    ///
    /// # Errors
    /// None, or one that cannot be read.
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, BundleError> {
        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1..).zip(&certificates) {
            roots
                .add(certificate.clone())
                .map_err(|source| BundleError::Certificate { number, source })?;
        }
        if roots.is_empty() {
            return Err(BundleError::Empty);
        }
        let chains =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(BundleError::Verifier)?;
        Ok(Self {
            certificates,
            chains,
        })
    }

    fn verify_itself(
        &self,
        leaf: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<Result<ServerCertVerified, Error>> {
        let stands_in_it = self
            .certificates
            .iter()
            .any(|certificate| certificate.as_ref() == leaf.as_ref());
        stands_in_it.then(|| {
            check_name_and_dates(leaf, name, now).map(|()| ServerCertVerified::assertion())
        })
    }
}

fn check_name_and_dates(
    leaf: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
    let (_, parsed) =
        parse_x509_certificate(leaf).map_err(|_error| CertificateError::BadEncoding)?;
    let seconds = i64::try_from(now.as_secs()).map_err(|_error| CertificateError::BadEncoding)?;
    let now = ASN1Time::from_timestamp(seconds).map_err(|_error| CertificateError::BadEncoding)?;
    let dates = parsed.validity();
    if now < dates.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > dates.not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

impl ServerCertVerifier for Bundle {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verify_itself(leaf, name, now) {
            Some(verified) => verified,
            None => self
                .chains
                .verify_server_cert(leaf, intermediates, name, ocsp, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
