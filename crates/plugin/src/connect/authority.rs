//! The certificate authority that a kubeconfig trusts.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::Cluster;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use decide::text::safe;

/// Why the certificate authority is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file cannot be read.
    #[error("cannot read the certificate authority {}: {source}", safe(path))]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The data in the kubeconfig is not base64.
    #[error("the kubeconfig's certificate-authority-data is not base64: {source}")]
    Decode {
        /// What is wrong with it.
        source: base64::DecodeError,
    },
    /// Not certificates.
    #[error("the certificate authority {} is not PEM: {source}", safe(from))]
    Parse {
        /// Where it is from.
        from: String,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Not one certificate.
    #[error("the certificate authority {} holds no certificate", safe(from))]
    Empty {
        /// Where it is from.
        from: String,
    },
}

/// The certificates to trust, in DER. `None`: those of the system. Data goes before a file.
///
/// # Errors
/// When there is something that cannot be read, or holds no certificate.
pub fn load(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, AuthorityError> {
    let data = cluster
        .certificate_authority_data
        .as_deref()
        .filter(|data| !data.is_empty());
    let file = cluster
        .certificate_authority
        .as_deref()
        .filter(|path| !path.is_empty());
    match (data, file) {
        (Some(data), _) => {
            let plain: String = data.split_ascii_whitespace().collect();
            let pem = STANDARD
                .decode(plain)
                .map_err(|source| AuthorityError::Decode { source })?;
            certificates("in the kubeconfig", &pem).map(Some)
        }
        (None, Some(path)) => {
            let read = std::fs::read(path);
            let pem = read.map_err(|source| AuthorityError::Read {
                path: path.to_owned(),
                source,
            })?;
            certificates(path, &pem).map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn certificates(from: &str, pem: &[u8]) -> Result<Vec<Vec<u8>>, AuthorityError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let parsed = parsed.map_err(|source| AuthorityError::Parse {
        from: from.to_owned(),
        source,
    })?;
    if parsed.is_empty() {
        return Err(AuthorityError::Empty {
            from: from.to_owned(),
        });
    }
    Ok(parsed
        .into_iter()
        .map(|certificate| certificate.to_vec())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "-----BEGIN CERTIFICATE-----\nAQI=\n-----END CERTIFICATE-----\n\
                       -----BEGIN CERTIFICATE-----\nAwQ=\n-----END CERTIFICATE-----\n";

    fn with_data(data: &str) -> Cluster {
        Cluster {
            certificate_authority_data: Some(data.to_owned()),
            ..Cluster::default()
        }
    }

    fn with_file(path: &str) -> Cluster {
        Cluster {
            certificate_authority: Some(path.to_owned()),
            ..Cluster::default()
        }
    }

    #[test]
    fn all_certificates_are_trusted_and_data_goes_before_a_file() {
        let mut cluster = with_data(&STANDARD.encode(TWO));
        cluster.certificate_authority = Some("/nowhere".to_owned());
        assert_eq!(load(&cluster).unwrap(), Some(vec![vec![1, 2], vec![3, 4]]));
    }

    #[test]
    fn a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        std::fs::write(&path, TWO).unwrap();
        assert_eq!(
            load(&with_file(&path.to_string_lossy())).unwrap(),
            Some(vec![vec![1, 2], vec![3, 4]])
        );
    }

    #[test]
    fn without_one_the_system_is_trusted() {
        assert_eq!(load(&with_data("")).unwrap(), None);
    }

    #[test]
    fn what_holds_no_certificate_is_refused_and_named() {
        let message = |cluster: &Cluster| load(cluster).unwrap_err().to_string();
        assert_eq!(
            message(&with_data("QQ==")),
            "the certificate authority in the kubeconfig holds no certificate"
        );
        assert!(
            message(&with_data("?"))
                .starts_with("the kubeconfig's certificate-authority-data is not base64")
        );
        assert!(
            message(&with_file("/nowhere/ca.crt"))
                .starts_with("cannot read the certificate authority /nowhere/ca.crt")
        );
    }
}
