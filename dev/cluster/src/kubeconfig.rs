//! Kubeconfigs with embedded certificates. Written as JSON, which is YAML too.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::pki::Identity;

/// One cluster, and the users that may be chosen as contexts.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// The name the cluster gets, which people see in `kubectl config get-contexts`.
    pub cluster: String,
    /// The API server, such as `https://127.0.0.1:6443`.
    pub server: String,
    /// The certificate that signed the API server's, PEM.
    pub authority: String,
    /// Context names (they are user names too) and who they are. The first one is current.
    pub users: Vec<(String, Identity)>,
}

impl Kubeconfig {
    /// The file's content.
    pub fn to_json(&self) -> Value {
        let users = self
            .users
            .iter()
            .map(|(name, identity)| user(name, identity));
        let contexts = self.users.iter().map(|(name, _)| {
            json!({"name": name, "context": {"cluster": self.cluster, "user": name, "namespace": "default"}})
        });
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster, "cluster": {
                "server": self.server, "certificate-authority-data": BASE64_STANDARD.encode(&self.authority),
            }}],
            "users": users.collect::<Vec<_>>(),
            "contexts": contexts.collect::<Vec<_>>(),
            "current-context": self.users.first().map(|(name, _)| name),
        })
    }

    /// Writes the file, readable by its owner only; whoever reads it sees it whole.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        crate::files::replace_private(path, format!("{:#}\n", self.to_json()).as_bytes())
    }
}

pub(crate) fn user(name: &str, identity: &Identity) -> Value {
    json!({"name": name, "user": {
        "client-certificate-data": BASE64_STANDARD.encode(&identity.certificate),
        "client-key-data": BASE64_STANDARD.encode(&identity.key),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_kubeconfig(users: &[&str]) -> Kubeconfig {
        let identity = Identity {
            certificate: "CERT".to_owned(),
            key: "KEY".to_owned(),
        };
        Kubeconfig {
            cluster: "dev".to_owned(),
            server: "https://127.0.0.1:6443".to_owned(),
            authority: "CA".to_owned(),
            users: users
                .iter()
                .map(|name| ((*name).to_owned(), identity.clone()))
                .collect(),
        }
    }

    #[test]
    fn every_user_is_a_context_and_the_first_is_current() {
        let file = mk_kubeconfig(&["admin", "jane@example.com"]).to_json();
        assert_eq!(file["current-context"], "admin");
        assert_eq!(file["contexts"][1]["name"], "jane@example.com");
        assert_eq!(file["contexts"][1]["context"]["user"], "jane@example.com");
    }

    #[test]
    fn certificates_are_embedded() {
        let file = mk_kubeconfig(&["admin"]).to_json();
        assert_eq!(
            file["users"][0]["user"]["client-certificate-data"],
            "Q0VSVA=="
        );
        assert_eq!(
            file["clusters"][0]["cluster"]["certificate-authority-data"],
            "Q0E="
        );
    }
}
