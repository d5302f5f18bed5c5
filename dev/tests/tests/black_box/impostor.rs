//! A webhook that is not our server: it is trusted as the server is, and answers what a test wants.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use run::certificates::Authority;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::Value;

/// What becomes of a review.
pub(crate) enum Reply {
    /// These bytes, head and all; then the connection ends.
    Bytes(Vec<u8>),
    /// Nothing, until the other side gives up.
    Nothing,
}

impl Reply {
    /// A whole answer.
    pub(crate) fn new(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}").into(),
        )
    }

    /// The answer to a review, as JSON.
    pub(crate) fn json(body: &Value) -> Self {
        Self::new(
            "200 OK",
            "Content-Type: application/json\r\n",
            &body.to_string(),
        )
    }
}

/// A review as it came: the path with its query, and the body.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn uid(&self) -> String {
        let review: Value = serde_json::from_slice(&self.body).unwrap();
        review["request"]["uid"].as_str().unwrap().to_owned()
    }
}

/// Listens until the process ends.
pub(crate) struct Impostor {
    pub(crate) address: SocketAddr,
    /// What to trust it by.
    pub(crate) authority: String,
    /// How many reviews came.
    asked: Arc<AtomicUsize>,
}

impl Impostor {
    /// Answers by a function of the review and of its number, from 0.
    pub(crate) fn new(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let authority = Authority::new("an impostor's").unwrap();
        let pair = authority.serving(&["127.0.0.1"]).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = Arc::new(
            config
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap(),
        );
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (address, asked) = (
            listener.local_addr().unwrap(),
            Arc::new(AtomicUsize::new(0)),
        );
        let (answer, count) = (Arc::new(answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, answer, count) =
                    (Arc::clone(&config), Arc::clone(&answer), Arc::clone(&count));
                std::thread::spawn(move || {
                    serve(stream, config, |asked| {
                        answer(asked, count.fetch_add(1, Ordering::SeqCst))
                    });
                });
            }
        });
        Self {
            address,
            authority: authority.pem(),
            asked,
        }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, answer: impl Fn(&Asked) -> Reply) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let Some(asked) = read(&mut stream) else {
        return;
    };
    match answer(&asked) {
        Reply::Bytes(bytes) => {
            // Whoever hangs up first does not read it.
            let _gone: std::io::Result<()> = stream.write_all(&bytes).and_then(|()| stream.flush());
            stream.conn.send_close_notify();
            let _gone: std::io::Result<()> = stream.flush();
        }
        Reply::Nothing => {
            let _end: std::io::Result<usize> = stream.read(&mut [0]);
        }
    }
}

/// One request. `None`: the connection ended before.
fn read(stream: &mut impl Read) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Asked {
        path: head.split(' ').nth(1)?.to_owned(),
        body,
    })
}
