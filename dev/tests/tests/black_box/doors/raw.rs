//! Requests as no kubectl would send them, with somebody's certificate.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::time::Duration;
use ureq::{
    Agent,
    http::Request,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig},
};

use kra_tests::scene::Person;

/// Somebody's connection to the API server.
pub(super) struct Raw {
    agent: Agent,
    server: String,
}

impl Raw {
    pub(super) fn of(person: &Person<'_>) -> Self {
        let said = person.kubectl(["config", "view", "--raw", "--minify", "-o", "json"]);
        let config: Value = serde_json::from_str(&said.text).unwrap();
        let pem = |path: &str| {
            STANDARD
                .decode(config.pointer(path).unwrap().as_str().unwrap())
                .unwrap()
        };
        let authority = pem("/clusters/0/cluster/certificate-authority-data");
        let certificate =
            Certificate::from_pem(&pem("/users/0/user/client-certificate-data")).unwrap();
        let key = PrivateKey::from_pem(&pem("/users/0/user/client-key-data")).unwrap();
        let tls = TlsConfig::builder()
            .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
            .root_certs(RootCerts::from(std::iter::once(
                Certificate::from_pem(&authority).unwrap(),
            )))
            .build();
        let config_builder = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .proxy(None);
        let agent = config_builder
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        let server = config
            .pointer("/clusters/0/cluster/server")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        Self { agent, server }
    }

    /// The status and the body of what is answered.
    pub(super) fn send(&self, method: &str, path: &str) -> (u16, String) {
        self.send_with(method, path, "application/json", "")
    }

    pub(super) fn send_with(
        &self,
        method: &str,
        path: &str,
        content: &str,
        body: &str,
    ) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server));
        let request = request.header("content-type", content);
        let sent = if body.is_empty() {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body.to_owned()).unwrap())
        };
        let mut response = sent.unwrap();
        (
            response.status().as_u16(),
            response.body_mut().read_to_string().unwrap_or_default(),
        )
    }

    /// Sends it, and is refused by the gate.
    #[track_caller]
    pub(super) fn is_denied(&self, method: &str, path: &str, text: &str) {
        let (status, body) = self.send(method, path);
        assert_eq!(status, 403, "{method} {path}: {body}");
        // The answer to a HEAD has no body.
        let is_ours = body.contains("access.spreadgroup.com") && body.contains(text);
        assert!(
            method == "HEAD" || is_ours,
            "{method} {path}: expected {text:?} in {body}"
        );
    }
}
