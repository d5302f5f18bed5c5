//! The cluster's certificate authority and what it signs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SigningKey,
};
use yasna::models::ObjectIdentifier;

/// Why a certificate could not be made or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// Making a key or signing a certificate failed.
    #[error("cannot make the certificate of {subject}")]
    Make {
        /// Whose.
        subject: String,
        /// Why.
        source: rcgen::Error,
    },
    /// The groups cannot be put into a certificate.
    #[error("cannot put the groups of {subject} into a certificate")]
    Groups {
        /// Whose.
        subject: String,
        /// Why.
        source: yasna::ASN1Error,
    },
    /// A key or certificate cannot be read or written.
    #[error("cannot keep the key or certificate {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    // The key is a secret, if only of a throw-away cluster.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// What a certificate says of its holder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject<'a> {
    /// The user name.
    pub(crate) name: &'a str,
    /// The groups.
    pub(crate) groups: &'a [&'a str],
    pub(crate) dns: &'a [&'a str],
    pub(crate) ips: &'a [IpAddr],
}

/// Signs what the cluster's parts trust each other by. Kept in the run directory, so that another
/// process can add users.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";

impl Authority {
    /// Makes a new authority and keeps it in `dir`.
    pub(crate) fn create(dir: &Path) -> Result<Self, PkiError> {
        let failed = |source| PkiError::Make {
            subject: "the cluster's authority".to_owned(),
            source,
        };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = authority_params().self_signed(&key).map_err(failed)?.pem();
        write(&dir.join(CERTIFICATE), &certificate)?;
        write(&dir.join(KEY), &key.serialize_pem())?;
        Ok(Self {
            issuer: Issuer::new(authority_params(), key),
            certificate,
        })
    }

    /// The authority kept in `dir`.
    pub(crate) fn load(dir: &Path) -> Result<Self, PkiError> {
        let certificate = read(&dir.join(CERTIFICATE))?;
        let key = KeyPair::from_pem(&read(&dir.join(KEY))?).map_err(|source| PkiError::Make {
            subject: "the cluster's authority".to_owned(),
            source,
        })?;
        Ok(Self {
            issuer: Issuer::new(authority_params(), key),
            certificate,
        })
    }

    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    pub(crate) fn sign(&self, subject: &Subject<'_>) -> Result<Identity, PkiError> {
        let failed = |source| PkiError::Make {
            subject: subject.name.to_owned(),
            source,
        };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params(subject)
            .map_err(failed)?
            .signed_by(&key, &self.issuer)
            .map_err(failed)?;
        let certificate = self.with_groups(certificate.der(), subject)?;
        Ok(Identity {
            certificate: pem("CERTIFICATE", &certificate),
            key: key.serialize_pem(),
        })
    }

    /// Signs the certificate anew with all of the subject's groups: rcgen keeps one value of an
    /// attribute, and Kubernetes reads each group from an organization of its own.
    fn with_groups(&self, certificate: &[u8], subject: &Subject<'_>) -> Result<Vec<u8>, PkiError> {
        let malformed = |source| PkiError::Groups {
            subject: subject.name.to_owned(),
            source,
        };
        let mut outer = elements(certificate).map_err(malformed)?.into_iter();
        let mut fields = elements(&outer.next().unwrap_or_default()).map_err(malformed)?;
        if let Some(field) = fields.get_mut(SUBJECT_FIELD) {
            *field = distinguished_name(subject);
        }
        let tbs = sequence(&fields);
        let failed = |source| PkiError::Make {
            subject: subject.name.to_owned(),
            source,
        };
        let signature = self.issuer.key().sign(&tbs).map_err(failed)?;
        let bits = signature.len().saturating_mul(8);
        let signature = yasna::construct_der(|writer| writer.write_bitvec_bytes(&signature, bits));
        Ok(sequence(&[
            tbs,
            outer.next().unwrap_or_default(),
            signature,
        ]))
    }
}

/// Where the subject stands in a `TBSCertificate` of version 3.
const SUBJECT_FIELD: usize = 5;
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];

/// The elements of a DER sequence, each still encoded.
fn elements(sequence: &[u8]) -> yasna::ASN1Result<Vec<Vec<u8>>> {
    yasna::parse_der(sequence, |reader| {
        let mut elements = Vec::new();
        reader
            .read_sequence_of(|reader| reader.read_der().map(|element| elements.push(element)))?;
        Ok(elements)
    })
}

fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for element in elements {
                writer.next().write_der(element);
            }
        });
    })
}

fn distinguished_name(subject: &Subject<'_>) -> Vec<u8> {
    let groups = subject
        .groups
        .iter()
        .map(|group| attribute(ORGANIZATION, group));
    sequence(
        &groups
            .chain([attribute(COMMON_NAME, subject.name)])
            .collect::<Vec<_>>(),
    )
}

fn attribute(kind: &[u64], value: &str) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_set(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(kind));
                writer.next().write_utf8_string(value);
            });
        });
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        lines.push(line.to_owned());
        rest = tail;
    }
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}

/// Made from constants only, so that the issuer can be made again from the key alone.
/// Nothing here expires: a throw-away cluster's authority ends with it.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "kra-cluster-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn params(subject: &Subject<'_>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(
        subject
            .dns
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )?;
    params
        .subject_alt_names
        .extend(subject.ips.iter().map(|ip| SanType::IpAddress(*ip)));
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, subject.name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

/// A key without a certificate, for signing service account tokens: `DIR/sa.key` and `DIR/sa.pub`.
pub(crate) fn signing_key(dir: &Path) -> Result<(), PkiError> {
    let key = KeyPair::generate().map_err(|source| PkiError::Make {
        subject: "the service account tokens".to_owned(),
        source,
    })?;
    write(&dir.join("sa.key"), &key.serialize_pem())?;
    write(&dir.join("sa.pub"), &key.public_key_pem())
}

impl Identity {
    /// Writes `DIR/NAME.crt` and `DIR/NAME.key`.
    pub(crate) fn keep(&self, dir: &Path, name: &str) -> Result<(), PkiError> {
        write(&dir.join(format!("{name}.crt")), &self.certificate)?;
        write(&dir.join(format!("{name}.key")), &self.key)
    }
}

fn write(path: &Path, pem: &str) -> Result<(), PkiError> {
    crate::files::write_private(path, pem.as_bytes()).map_err(|source| PkiError::File {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<String, PkiError> {
    std::fs::read_to_string(path).map_err(|source| PkiError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_authority() -> (tempfile::TempDir, Authority) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path()).unwrap();
        (dir, authority)
    }

    fn der(pem: &str) -> Vec<u8> {
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        BASE64_STANDARD.decode(text).unwrap()
    }

    fn contains(haystack: &[u8], needle: &[u8]) -> bool {
        haystack
            .windows(needle.len())
            .any(|window| window == needle)
    }

    #[test]
    fn a_certificate_carries_every_group_of_its_holder() {
        let (_dir, authority) = mk_authority();
        let jane = authority
            .sign(&Subject {
                name: "jane",
                groups: &["dev", "ops", "on-call"],
                ..Subject::default()
            })
            .unwrap();
        let tbs = elements(&der(&jane.certificate)).unwrap()[0].clone();
        let subject = elements(&tbs).unwrap()[SUBJECT_FIELD].clone();
        for part in ["jane", "dev", "ops", "on-call"] {
            assert!(contains(&subject, part.as_bytes()), "{part}");
        }
        assert_eq!(elements(&subject).unwrap().len(), 4);
    }

    #[test]
    fn an_authority_read_back_signs_as_the_same_issuer() {
        let (dir, first) = mk_authority();
        let second = Authority::load(dir.path()).unwrap();
        let issuer = |authority: &Authority| {
            let certificate = authority
                .sign(&Subject {
                    name: "jane",
                    ..Subject::default()
                })
                .unwrap()
                .certificate;
            elements(&elements(&der(&certificate)).unwrap()[0]).unwrap()[3].clone()
        };
        assert_eq!(issuer(&first), issuer(&second));
        assert_eq!(first.certificate(), second.certificate());
    }

    #[test]
    fn keys_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, _authority) = mk_authority();
        let mode = std::fs::metadata(dir.path().join(KEY))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
