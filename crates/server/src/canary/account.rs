//! Who the canary is, and what it tries.

use std::{fmt, str::FromStr};

/// The pod that the canary tries to enter: no pod can have that name, since none may have a `_` in
/// it.
pub const POD: &str = "canary_of_kube-request-access";

/// The canary's own `ServiceAccount`, which is for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryAccount {
    /// Its namespace, where that pod would be too.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// It was written otherwise.
#[derive(Debug, thiserror::Error)]
#[error("write it as NAMESPACE:NAME")]
pub struct AccountError;

impl FromStr for CanaryAccount {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        match text.split(':').collect::<Vec<_>>().as_slice() {
            [namespace, name] if !namespace.is_empty() && !name.is_empty() => Ok(Self {
                namespace: (*namespace).to_owned(),
                name: (*name).to_owned(),
            }),
            _ => Err(AccountError),
        }
    }
}

/// As the API server names it.
impl fmt::Display for CanaryAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}
