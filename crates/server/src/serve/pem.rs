//! Certificates and keys from PEM files.

use std::path::{Path, PathBuf};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};

/// Why a PEM file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// Not readable, or not PEM.
    #[error("cannot read {what} from {path}")]
    Read {
        /// Certificates or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// Nothing in it.
    #[error("there is no certificate in {path}: it must hold PEM blocks of type CERTIFICATE")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// All certificates of a file; at least one.
///
/// # Errors
/// The file cannot be read, is not PEM, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let read = |source| PemError::Read {
        what: "certificates",
        path: path.to_owned(),
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<_, _>>()
        .map_err(read)?;
    if certificates.is_empty() {
        Err(PemError::Empty {
            path: path.to_owned(),
        })
    } else {
        Ok(certificates)
    }
}

/// The private key of a file.
///
/// # Errors
/// The file cannot be read, is not PEM, or holds none.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let read = |source| PemError::Read {
        what: "a private key",
        path: path.to_owned(),
        source,
    };
    PrivateKeyDer::from_pem_file(path).map_err(read)
}
