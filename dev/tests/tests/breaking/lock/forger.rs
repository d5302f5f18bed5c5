//! A server that says for the API server which webhooks and policies there are: none.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use run::certificates::Authority;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};

/// See the module. It listens until it is dropped.
pub(super) struct Forger {
    pub(super) port: u16,
    is_over: Arc<AtomicBool>,
}

impl Forger {
    pub(super) fn listen() -> Self {
        let pair = Authority::new("a forger's")
            .unwrap()
            .serving(&["forger.default.svc"])
            .unwrap();
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
        let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
        let (port, is_over) = (
            listener.local_addr().unwrap().port(),
            Arc::new(AtomicBool::new(false)),
        );
        let ends = Arc::clone(&is_over);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, ends) = (Arc::clone(&config), Arc::clone(&ends));
                // Whoever hangs up has heard enough.
                std::thread::spawn(move || answer(stream, &config, &ends));
            }
        });
        Self { port, is_over }
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>, is_over: &AtomicBool) -> Option<()> {
    let mut stream = BufReader::new(StreamOwned::new(
        ServerConnection::new(Arc::clone(config)).ok()?,
        stream,
    ));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let path = head.split(' ').nth(1)?.to_owned();
    let stream = stream.get_mut();
    let mut say = |status: &str, body: &str| {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{body}"
        );
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.flush())
            .ok()
    };
    let refusal = |reason: &str, code: u16| {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}).to_string()
    };
    if path.contains("sendInitialEvents") {
        say("422 Unprocessable Entity", &refusal("Invalid", 422))?;
    } else if path.contains("watch=") && !path.contains("resourceVersion=1&") {
        // Whoever goes on from what the API server itself has said must list anew.
        say("410 Gone", &refusal("Expired", 410))?;
    } else if path.contains("watch=") {
        say("200 OK", "")?;
        // Nothing ever changes.
        while !is_over.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(100));
        }
    } else {
        say("200 OK", &list(&path).to_string())?;
    }
    stream.conn.send_close_notify();
    stream.flush().ok()
}

/// An empty list of whatever was asked for; of the group, that it has nothing.
fn list(path: &str) -> Value {
    let plural = path
        .split('?')
        .next()
        .and_then(|path| path.rsplit('/').next())
        .unwrap_or_default();
    let kind = match plural {
        "validatingwebhookconfigurations" => "ValidatingWebhookConfigurationList",
        "mutatingwebhookconfigurations" => "MutatingWebhookConfigurationList",
        "validatingadmissionpolicies" => "ValidatingAdmissionPolicyList",
        "validatingadmissionpolicybindings" => "ValidatingAdmissionPolicyBindingList",
        "mutatingadmissionpolicies" => "MutatingAdmissionPolicyList",
        "mutatingadmissionpolicybindings" => "MutatingAdmissionPolicyBindingList",
        _ => {
            return json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "admissionregistration.k8s.io/v1", "resources": []});
        }
    };
    json!({"kind": kind, "apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"resourceVersion": "1"}, "items": []})
}
