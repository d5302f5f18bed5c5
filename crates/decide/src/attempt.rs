//! What somebody tries to do.

use crate::identity::Caller;

/// An attempt to run a command in a pod, as a CONNECT review shows it.
///
/// It is an attempt, not a session: the API server asks us before it looks whether the pod exists, and before RBAC
/// is asked whether the caller may `create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// UID of the review. The same attempt over the other transport has another one.
    pub review_uid: String,
    /// Who.
    pub caller: Caller,
    /// Where.
    pub namespace: String,
    /// Name of the pod; it need not exist.
    pub pod: String,
    /// What.
    pub exec: Exec,
}

/// What an exec runs, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exec {
    /// The container, where the client says which. kubectl always does.
    pub container: Option<String>,
    /// The command, one element an argument. Empty where a raw client sends none.
    pub command: Vec<String>,
    /// Whether standard input is passed on.
    pub stdin: bool,
    /// Whether a terminal is allocated.
    pub tty: bool,
}

impl Exec {
    /// Whether somebody could type into it.
    pub fn is_interactive(&self) -> bool {
        self.stdin || self.tty
    }
}
