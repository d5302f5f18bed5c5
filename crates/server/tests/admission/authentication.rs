//! Whose reviews are believed: those on the secret path, those by client certificate. What is not
//! believed gets 404, and nothing is used up.

use std::{path::Path, sync::Arc};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rstest::rstest;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde_json::json;
use server::serve::{
    self,
    authentication::{Authentication, Peer},
    client_authority::ClientAuthority,
    review_path::ReviewPaths,
    tls::Tls,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::world::{Settings, World, recorded};

const SECRET: &str = "8eae7a48d8b4d8a0d3f7e2c5b9a16f04";
const NEXT: &str = "f04b9a161d3f7e2c58b4d8a0f7a48d8e";

/// A world in which jane may run `date` once.
fn granted(authentication: Authentication) -> World {
    World::granted_with(
        Settings {
            authentication: Some(authentication),
            ..Settings::default()
        },
        |_| {},
    )
}

/// The review of jane's `date`.
fn review() -> String {
    let mut review = recorded("exec-websocket");
    review["request"]["uid"] = json!("review-1");
    review.to_string()
}

fn secret_path(dir: &TempDir) -> Arc<ReviewPaths> {
    let file = dir.path().join("review-path");
    std::fs::write(&file, SECRET).unwrap();
    Arc::new(ReviewPaths::load(file).unwrap())
}

#[rstest]
#[case("/")]
#[case("/validate")]
#[case("/mutate")]
#[case("/validate/")]
#[case("/validate?secret=SECRET")]
#[case("/validate?/SECRET")]
#[case("/validate//SECRET")]
#[case("//validate/SECRET")]
#[case("/validate/SECRET/")]
#[case("/validate/SECRET0")]
#[case("/validate/%38eae7a48d8b4d8a0d3f7e2c5b9a16f04")]
#[case("/validate%2fSECRET")]
#[case("/%2e/SECRET")]
#[case("/validate/8EAE7A48D8B4D8A0D3F7E2C5B9A16F04")]
#[case("/validate/8eae7a48d8b4d8a0d3f7e2c5b9a16f0")]
#[case("/validate/f04b9a161d3f7e2c58b4d8a0f7a48d8e")]
#[case("/ready")]
#[case("/ready/SECRET")]
#[case("/metrics")]
#[tokio::test]
async fn with_a_secret_path_a_review_on_any_other_is_not_found_and_uses_nothing_up(
    #[case] path: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let world = granted(Authentication::new(Some(secret_path(&dir)), None));
    let said = world.post(&path.replace("SECRET", SECRET), review()).await;
    let nothing = world.post("/nothing/of/the/kind", "").await;
    assert_eq!(
        (said.status, &said.body),
        (StatusCode::NOT_FOUND, &nothing.body)
    );
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn a_review_on_the_secret_path_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let world = granted(Authentication::new(Some(secret_path(&dir)), None));
    assert!(
        world
            .post(&format!("/validate/{SECRET}?timeout=10s"), review())
            .await
            .allowed()
    );
    assert_eq!(world.uses(), 1);
    // The original's path.
    world
        .post(
            &format!("/{SECRET}"),
            review().replace("review-1", "review-2"),
        )
        .await
        .denial();
    let stamping = recorded("exec-websocket").to_string();
    assert_eq!(
        world
            .post(&format!("/mutate/{SECRET}"), stamping)
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn only_posts_are_reviews_and_probes_need_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let world = granted(Authentication::new(Some(secret_path(&dir)), None));
    let send = |method: &str, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(review()))
            .unwrap();
        world.send(request)
    };
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"] {
        let said = send(method, &format!("/validate/{SECRET}")).await;
        assert_eq!(said.status, StatusCode::NOT_FOUND, "{method}");
    }
    assert_eq!(world.uses(), 0);
    assert_eq!(send("GET", "/ready").await.status, StatusCode::OK);
    world.post("/validate", review()).await;
    let metrics = send("GET", "/metrics").await;
    assert!(
        metrics
            .body
            .as_str()
            .unwrap()
            .contains("kube_request_access_unauthenticated_requests_total 1\n"),
        "{}",
        metrics.body
    );
}

#[tokio::test]
async fn a_secret_is_replaced_while_reviews_come() {
    let dir = tempfile::tempdir().unwrap();
    let paths = secret_path(&dir);
    let world = granted(Authentication::new(Some(Arc::clone(&paths)), None));
    let statuses = async || {
        let post = async |secret| {
            world
                .post(&format!("/mutate/{secret}"), review())
                .await
                .status
                .as_u16()
        };
        [post(SECRET).await, post(NEXT).await]
    };
    assert_eq!(statuses().await, [200, 404]);
    std::fs::write(paths.file(), format!("{NEXT}\n{SECRET}\n")).unwrap();
    paths.reload().unwrap();
    assert_eq!(statuses().await, [200, 200]);
    std::fs::write(paths.file(), format!("{NEXT}\n")).unwrap();
    paths.reload().unwrap();
    assert_eq!(statuses().await, [404, 200]);
    std::fs::write(paths.file(), "").unwrap();
    assert!(paths.reload().is_err());
    assert_eq!(statuses().await, [404, 200]);
}

/// Signs certificates of clients.
struct Issuer(CertifiedIssuer<'static, KeyPair>);

/// What a client shows.
struct Shown {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Issuer {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn client(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (name, kind) in names
            .iter()
            .zip([DnType::CommonName, DnType::OrganizationName])
        {
            params.distinguished_name.push(kind, *name);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().der().clone();
        Shown {
            certificate,
            key: PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        }
    }

    fn apiserver(&self) -> Shown {
        self.client(&["kube-apiserver"], |_| {})
    }
}

fn authority(dir: &Path, issuer: &Issuer, names: &[&str]) -> Arc<ClientAuthority> {
    let file = dir.join("clients.crt");
    std::fs::write(&file, issuer.0.pem()).unwrap();
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Arc::new(ClientAuthority::load(file, names, Arc::new(ring::default_provider())).unwrap())
}

fn peer(shown: &[CertificateDer<'static>]) -> Peer {
    Peer {
        address: ([127, 0, 0, 1], 4711).into(),
        certificates: shown.to_vec().into(),
    }
}

#[test]
fn where_certificate_and_secret_path_are_set_both_are_needed() {
    let (dir, issuer) = (tempfile::tempdir().unwrap(), Issuer::new());
    let both = Authentication::new(
        Some(secret_path(&dir)),
        Some(authority(dir.path(), &issuer, &[])),
    );
    let (shown, path) = (
        peer(&[issuer.apiserver().certificate]),
        format!("/validate/{SECRET}"),
    );
    assert!(both.way(&path, Some(&shown)).is_some());
    assert!(both.way("/validate", Some(&shown)).is_none());
    for nobody in [
        None,
        Some(&peer(&[])),
        Some(&peer(&[Issuer::new().apiserver().certificate])),
    ] {
        assert!(both.way(&path, nobody).is_none());
    }
}

#[rstest]
#[case::any(&[], &["whoever"], true)]
#[case::no_name_where_any_is_taken(&[], &[], true)]
#[case::the_name(&["a", "kube-apiserver"], &["kube-apiserver"], true)]
#[case::another(&["kube-apiserver"], &["kubelet"], false)]
#[case::longer(&["kube-apiserver"], &["kube-apiserver2"], false)]
#[case::shorter(&["kube-apiserver"], &["kube-apiserve"], false)]
#[case::other_case(&["kube-apiserver"], &["Kube-Apiserver"], false)]
#[case::as_the_organization_only(&["kube-apiserver"], &["other", "kube-apiserver"], false)]
#[case::none(&["kube-apiserver"], &[], false)]
fn names_restrict_whose_certificate_is_believed(
    #[case] names: &[&str],
    #[case] subject: &[&str],
    #[case] expected: bool,
) {
    let (dir, issuer) = (tempfile::tempdir().unwrap(), Issuer::new());
    let authentication = Authentication::new(None, Some(authority(dir.path(), &issuer, names)));
    let shown = peer(&[issuer.client(subject, |_| {}).certificate]);
    assert_eq!(
        authentication.way("/validate", Some(&shown)).is_some(),
        expected
    );
}

#[test]
fn certificates_of_servers_and_of_other_times_are_not_believed() {
    let (dir, issuer) = (tempfile::tempdir().unwrap(), Issuer::new());
    let authority = authority(dir.path(), &issuer, &[]);
    let believes = |change: &dyn Fn(&mut CertificateParams)| {
        authority.believes(&[issuer.client(&["kube-apiserver"], change).certificate])
    };
    assert!(believes(&|_| {}));
    assert!(!believes(
        &|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
    ));
    assert!(!believes(
        &|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)
    ));
    assert!(!believes(
        &|params| params.not_before = rcgen::date_time_ymd(4000, 1, 1)
    ));
    assert!(!authority.believes(&[]));
    assert!(!authority.believes(&[CertificateDer::from(vec![0x30, 0])]));
}

#[test]
fn a_file_without_a_proper_authority_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let load = |content: Option<&str>| {
        let file = dir.path().join("ca.crt");
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let loaded = ClientAuthority::load(file, vec![], Arc::new(ring::default_provider()));
        server::chain(&loaded.unwrap_err())
    };
    assert!(load(None).contains("cannot read certificates from"));
    assert!(load(Some("")).contains("there is no certificate in"));
    let nonsense = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert!(load(Some(nonsense)).contains("certificate 1 of"));
}

/// A server on this machine in whose world jane may run `date` once, and what it trusts.
struct Served {
    world: World,
    port: u16,
    own: CertificateDer<'static>,
    clients: Arc<ClientAuthority>,
    _dir: TempDir,
}

impl Served {
    async fn by(issuer: &Issuer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clients = authority(dir.path(), issuer, &[]);
        let world = granted(Authentication::new(None, Some(Arc::clone(&clients))));
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let files = [dir.path().join("tls.crt"), dir.path().join("tls.key")];
        std::fs::write(&files[0], own.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        let [certificate, key] = files;
        let provider = Arc::new(ring::default_provider());
        let tls = Tls::load(certificate, key, Some(Arc::clone(&clients)), provider).unwrap();
        let listener = serve::listen(&["127.0.0.1:0".parse().unwrap()])
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve::serve(
            listener,
            Arc::new(tls),
            world.router(),
            std::future::pending(),
        ));
        Self {
            world,
            port,
            own: own.der().clone(),
            clients,
            _dir: dir,
        }
    }

    async fn connect(
        &self,
        shown: Option<Shown>,
    ) -> Result<Connection, Box<dyn std::error::Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match shown {
            Some(shown) => config.with_client_auth_cert(vec![shown.certificate], shown.key)?,
            None => config.with_no_client_auth(),
        };
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost")?, stream)
            .await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection(sender))
    }
}

struct Connection(hyper::client::conn::http1::SendRequest<Body>);

impl Connection {
    async fn send(&mut self, request: Request<Body>) -> Result<u16, hyper::Error> {
        let response = self.0.send_request(request).await?;
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        Ok(status)
    }

    async fn ready(&mut self) -> Result<u16, hyper::Error> {
        self.send(Request::get("/ready").body(Body::empty()).unwrap())
            .await
    }

    async fn validate(&mut self) -> Result<u16, hyper::Error> {
        self.send(
            Request::post("/validate")
                .body(Body::from(review()))
                .unwrap(),
        )
        .await
    }
}

#[tokio::test]
async fn without_a_certificate_probes_are_answered_and_reviews_are_not_found() {
    let served = Served::by(&Issuer::new()).await;
    let mut nobody = served.connect(None).await.unwrap();
    assert_eq!(nobody.ready().await.unwrap(), 200);
    assert_eq!(nobody.validate().await.unwrap(), 404);
    assert_eq!(nobody.ready().await.unwrap(), 200);
    assert_eq!(served.world.uses(), 0);
}

#[tokio::test]
async fn with_a_certificate_of_the_authority_reviews_are_believed() {
    let issuer = Issuer::new();
    let served = Served::by(&issuer).await;
    let mut apiserver = served.connect(Some(issuer.apiserver())).await.unwrap();
    assert_eq!(apiserver.validate().await.unwrap(), 200);
    assert_eq!(served.world.uses(), 1);
    assert_eq!(apiserver.ready().await.unwrap(), 200);
}

#[tokio::test]
async fn a_certificate_of_another_authority_gets_no_connection() {
    let served = Served::by(&Issuer::new()).await;
    // In TLS 1.3 a client learns of it only when it reads.
    if let Ok(mut other) = served.connect(Some(Issuer::new().apiserver())).await {
        assert!(other.validate().await.is_err());
    }
    assert_eq!(served.world.uses(), 0);
}

#[tokio::test]
async fn an_authority_that_is_replaced_counts_no_longer_on_connections_of_before() {
    let (first, second) = (Issuer::new(), Issuer::new());
    let served = Served::by(&first).await;
    let mut before = served.connect(Some(first.apiserver())).await.unwrap();
    assert_eq!(before.validate().await.unwrap(), 200);
    std::fs::write(served.clients.file(), second.0.pem()).unwrap();
    served.clients.reload().unwrap();
    assert_eq!(before.validate().await.unwrap(), 404);
    let mut after = served.connect(Some(second.apiserver())).await.unwrap();
    assert_eq!(after.validate().await.unwrap(), 200);
    std::fs::write(served.clients.file(), "half a certif").unwrap();
    assert!(served.clients.reload().is_err());
    assert_eq!(after.validate().await.unwrap(), 200);
}
