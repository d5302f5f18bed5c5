//! kube-request-access: an admission webhook that refuses `kubectl exec`, and every other door into
//! a pod, until exactly this was asked for and granted.
//!
//! [`run::run`] wires the parts: [`cluster`] knows what is, [`admission`] decides, [`audit`] tells,
//! [`controllers`] react to what is stored, [`serve`] listens, [`canary`] notices when nobody asks,
//! [`lock`] when somebody changes what shuts the doors. ARCHITECTURE.md walks along one request.

pub mod admission;
pub mod args;
pub mod audit;
pub mod canary;
pub mod clock;
pub mod cluster;
pub mod controllers;
pub mod failpoints;
pub mod lock;
pub mod metrics;
pub mod run;
pub mod serve;

/// An error with its causes, on one line. A cause that the text before it already tells is left
/// out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
