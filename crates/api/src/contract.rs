//! Words that others go by: they wait for them, alert on them, select by them. None of them
//! changes its meaning, and none is written anywhere but here.

/// Types of conditions.
pub mod conditions {
    /// Of a request: it gives access now. It always stands there, to be waited for.
    pub const GRANTED: &str = "Granted";
    /// Of a request: somebody, or a policy, denied it.
    pub const DENIED: &str = "Denied";
    /// Of a request: its single use was taken.
    pub const USED: &str = "Used";
    /// Of a request: its time is over.
    pub const EXPIRED: &str = "Expired";
    /// Of a request: a single use of it was taken, and is lost.
    pub const LOST: &str = "Lost";
    /// Of a request that a policy for emergencies granted: whether somebody reviewed it.
    pub const REVIEWED: &str = "Reviewed";
    /// Of a policy: whether it has a good seal. Of a request: that it, or a grant of it, has none;
    /// only then it stands there.
    pub const SEALED: &str = "Sealed";
    /// Of a pod of the server: whether every API server asks it.
    pub const ASKED_BY_API_SERVERS: &str = "spreadgroup.com/AskedByAPIServers";
    /// Of a pod of the server: whether policies and webhooks are as they are shipped.
    pub const LOCK_INTACT: &str = "spreadgroup.com/LockIntact";
}

/// Reasons of conditions. Those of a request's `Granted`, `Denied`, `Used` and `Expired` are its
/// phase.
pub mod reasons {
    /// Of `Lost`: the server stopped before it could answer, or not in time.
    pub const NOT_ANSWERED: &str = "NotAnswered";
    /// Of `Reviewed`: somebody did.
    pub const REVIEWED: &str = "Reviewed";
    /// Of `Reviewed`: nobody did so far.
    pub const AWAITED: &str = "Awaited";
    /// Of `Reviewed`: nobody did in time.
    pub const OVERDUE: &str = "Overdue";
    /// Of `Sealed`: it has a good seal.
    pub const SEALED: &str = "Sealed";
    /// Of `Sealed`: it has none.
    pub const NO_SEAL: &str = "NoSeal";
    /// Of `AskedByAPIServers`: every API server asks.
    pub const ASKED: &str = "Asked";
    /// Of `AskedByAPIServers`: one does not.
    pub const NOT_ASKED: &str = "NotAsked";
    /// Of `LockIntact`: all parts are.
    pub const INTACT: &str = "Intact";
    /// Of `LockIntact`: a part is missing or changed.
    pub const CHANGED: &str = "Changed";
    /// Of `AskedByAPIServers` and of `LockIntact`: it is not known of every API server, or of every
    /// part.
    pub const NOT_KNOWN: &str = "NotKnown";
}

/// Keys of annotations of our objects.
pub mod annotations {
    /// The seal of a request or a policy, and a grant's under a newer key than it was sealed with
    /// first: when it was sealed, a blank, and the code. It is not in the spec, which never changes.
    pub const SEAL: &str = "spreadgroup.com/seal";
    /// Asks, with the value `true` on a dry run, what would become of a request.
    pub const EXPLAIN: &str = "spreadgroup.com/explain";
    /// Answers that: a few lines of text.
    pub const EXPLANATION: &str = "spreadgroup.com/explanation";
}

/// Keys of labels.
pub mod labels {
    /// Of a request: who asks, as the original writes it.
    pub const USERNAME: &str = "username";
    /// Of a record: of which namespace it is.
    pub const RECORD_NAMESPACE: &str = "spreadgroup.com/record-namespace";
    /// Of a record: of whose request it is, as the beginning of the SHA-256 of her name, since a
    /// name may be no label.
    pub const RECORD_PERSON: &str = "spreadgroup.com/record-person";
    /// Of a record: the UID of the request.
    pub const RECORD_REQUEST: &str = "spreadgroup.com/record-request";
    /// Of a role binding, with the value `kube-request-access`: that it is ours.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
}

/// Keys of audit annotations, which the API server writes into its audit log behind the name of the
/// webhook.
pub mod audit_annotations {
    /// The UID of the review, under which our log has the same.
    pub const REVIEW_UID: &str = "review-uid";
    /// What was decided: one of [`super::decisions`].
    pub const DECISION: &str = "decision";
    /// The name of the request that gives the access; of a denial, of the one that comes nearest.
    pub const REQUEST: &str = "request";
    /// The policies that decided.
    pub const POLICY: &str = "policy";
    /// That the attempt waited for its grant, with the value `true`.
    pub const WAITED: &str = "waited";
    /// What would have been decided of an attempt that is only looked at.
    pub const WOULD_BE: &str = "would-be";
}

/// Decisions about attempts, as the log, the metrics, the audit annotations and the audit webhook
/// call them.
pub mod decisions {
    /// Its user needs no request.
    pub const ALWAYS_ALLOWED: &str = "always-allowed";
    /// A policy says that no request is needed.
    pub const ALLOWED_BY_POLICY: &str = "allowed-by-policy";
    /// A request gives access.
    pub const GRANTED: &str = "granted";
    /// A policy forbids it.
    pub const DENIED_BY_POLICY: &str = "denied-by-policy";
    /// Nothing interactive is allowed.
    pub const DENIED_INTERACTIVE: &str = "denied-interactive";
    /// There is no request for it.
    pub const DENIED_NO_REQUEST: &str = "denied-no-request";
    /// There is a request that comes near.
    pub const DENIED_NEAR_MISS: &str = "denied-near-miss";
    /// It is granted, and RBAC would refuse it.
    pub const DENIED_NO_RIGHT: &str = "denied-no-right";
    /// What it asks for is not understood in full.
    pub const DENIED_UNCLEAR: &str = "denied-unclear";
    /// The server failed.
    pub const DENIED_FAILURE: &str = "denied-failure";
    /// Nobody can ask for a proxy, and no policy lets its user through.
    pub const DENIED_PROXY: &str = "denied-proxy";
    /// The review is larger than any that can be allowed.
    pub const DENIED_TOO_LARGE: &str = "denied-too-large";
    /// There are too many reviews at once, of its user or of all.
    pub const DENIED_TOO_MANY: &str = "denied-too-many";
    /// It is the canary's.
    pub const CANARY: &str = "canary";
    /// It was only looked at, and passed.
    pub const OBSERVED: &str = "observed";
    /// What was looked at is no attempt: the rules of the webhook are not the ones that are shipped.
    pub const UNEXPECTED: &str = "unexpected";
}

/// What the audit webhook is told of, in `?type=`.
pub mod audit_types {
    /// Somebody tries a door.
    pub const EXEC: &str = "audit-exec";
    /// Somebody files a request.
    pub const CREATED: &str = "audit-created";
    /// Somebody grants a request.
    pub const GRANTED: &str = "audit-granted";
    /// Somebody denies a request.
    pub const DENIED: &str = "audit-denied";
    /// Somebody reviews an emergency.
    pub const REVIEWED: &str = "audit-reviewed";
    /// Somebody deletes a request.
    pub const DELETED: &str = "audit-deleted";
    /// Somebody deletes a grant, or another answer.
    pub const REVOKED: &str = "audit-revoked";
}

/// Notices, as `CloudEvents`.
pub mod cloud_events {
    /// What their types begin with; the word of the [`Change`](crate::notice::Change) follows.
    pub const TYPE_PREFIX: &str = "com.spreadgroup.accessrequest.";
}
