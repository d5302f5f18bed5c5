//! What somebody tries to do.

use crate::{copy, debug::DebugContainer, identity::Caller};

/// A door into a pod that can be asked for: a subresource of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// `kubectl exec` and `kubectl cp`.
    Exec,
    /// `kubectl attach`.
    Attach,
    /// `kubectl port-forward`.
    PortForward,
    /// `kubectl debug`.
    EphemeralContainers,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Exec,
        Self::Attach,
        Self::PortForward,
        Self::EphemeralContainers,
    ];

    /// The subresource of pods, as Kubernetes calls it.
    pub fn subresource(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "portforward",
            Self::EphemeralContainers => "ephemeralcontainers",
        }
    }

    /// What is typed behind `kubectl`, and behind `kubectl request`.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "port-forward",
            Self::EphemeralContainers => "debug",
        }
    }

    /// The door of a subresource.
    pub fn of(subresource: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|door| door.subresource() == subresource)
    }
}

/// An attempt to get into a pod, as a review shows it.
///
/// It is an attempt, not a session: for CONNECT the API server asks us before it looks whether the
/// pod exists, and before RBAC is asked whether the caller may `create`.
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
    pub action: Action,
}

impl Attempt {
    /// The door that is tried.
    pub fn door(&self) -> Door {
        match self.action {
            Action::Exec(_) => Door::Exec,
            Action::Attach(_) => Door::Attach,
            Action::PortForward => Door::PortForward,
            Action::Debug(_) => Door::EphemeralContainers,
        }
    }
}

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A command is run.
    Exec(Exec),
    /// Somebody attaches to what runs.
    Attach(Attach),
    /// Ports are forwarded. Which ones travels inside the stream, where nobody can limit them.
    PortForward,
    /// An ephemeral container is added.
    Debug(Addition),
}

impl Action {
    /// Whether standard input is passed on, or a terminal allocated.
    pub fn takes_input(&self) -> bool {
        match self {
            Self::Exec(exec) => exec.stdin || exec.tty,
            Self::Attach(attach) => attach.stdin || attach.tty,
            Self::PortForward => false,
            Self::Debug(addition) => addition.container.is_interactive(),
        }
    }

    /// Whether somebody could type into it, and not only send files as `kubectl cp` does.
    pub fn is_interactive(&self) -> bool {
        let copies = matches!(self, Self::Exec(exec) if exec.looks_like_copy());
        self.takes_input() && !copies
    }

    /// The container that is named, where one is.
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Exec(exec) => exec.container.as_deref(),
            Self::Attach(attach) => attach.container.as_deref(),
            Self::PortForward => None,
            Self::Debug(addition) => addition.container.name.as_deref(),
        }
    }
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
    /// Whether this is how `kubectl cp` writes into a pod. It decides over texts, and over which
    /// requests are looked at; what is allowed is compared argument by argument.
    pub fn looks_like_copy(&self) -> bool {
        self.stdin && !self.tty && copy::is_unpack(&self.command)
    }
}

/// How somebody attaches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attach {
    /// The container, where the client says which.
    pub container: Option<String>,
    /// Whether standard input is passed on.
    pub stdin: bool,
    /// Whether a terminal is allocated.
    pub tty: bool,
}

/// An ephemeral container that is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// UID of the pod that it is added to.
    pub pod_uid: String,
    /// The container.
    pub container: DebugContainer,
}
