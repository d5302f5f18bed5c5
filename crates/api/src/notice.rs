//! What is told of a request when something becomes of it: all that somebody needs who is to answer
//! it.

use std::collections::BTreeMap;

use decide::{
    access::Ask,
    argv,
    attempt::Door,
    text::{safe, safe_word},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    AccessRequest, AccessRequestStatus, Phase, UserInfo, convert, describe::Meaning,
    objects::Alarm, secrets,
};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was filed, and waits.
    Filed,
    /// It gives access.
    Granted,
    /// It gave access, and waits again.
    Revoked,
    /// Somebody denied it, for good.
    Denied,
    /// Its single use was taken.
    Used,
    /// Its time is over.
    Expired,
    /// Its single use was taken by a server that stopped before it could answer.
    Lost,
    /// A policy for emergencies granted it: somebody must review that.
    Emergency,
    /// Nobody reviewed it in time.
    Overdue,
    /// Somebody reviewed it.
    Reviewed,
}

impl Change {
    /// All that a new status says, in order.
    pub fn between(old: &AccessRequestStatus, new: &AccessRequestStatus) -> Vec<Self> {
        let phase = new
            .phase
            .filter(|_| old.phase != new.phase)
            .map(|phase| match phase {
                Phase::Pending if old.phase.is_none() => Self::Filed,
                Phase::Pending => Self::Revoked,
                Phase::Granted => Self::Granted,
                Phase::Denied => Self::Denied,
                Phase::Used => Self::Used,
                Phase::Expired => Self::Expired,
            });
        // By whom is news where only the phase said so.
        let denied = old.phase == new.phase && old.denied.is_none() && new.denied.is_some();
        let more = [
            (denied, Self::Denied),
            (
                old.emergency.is_none() && new.emergency.is_some(),
                Self::Emergency,
            ),
            (!old.is_overdue() && new.is_overdue(), Self::Overdue),
            (
                old.reviewed.is_none() && new.reviewed.is_some(),
                Self::Reviewed,
            ),
            (!old.has_lost_use() && new.has_lost_use(), Self::Lost),
        ];
        phase
            .into_iter()
            .chain(
                more.into_iter()
                    .filter_map(|(is, change)| is.then_some(change)),
            )
            .collect()
    }

    /// The alarm that it is. A change that is none is told once at most.
    pub fn alarm(self) -> Option<Alarm> {
        match self {
            Self::Emergency => Some(Alarm::Emergency),
            Self::Overdue => Some(Alarm::Overdue),
            Self::Lost => Some(Alarm::Lost),
            Self::Filed
            | Self::Granted
            | Self::Revoked
            | Self::Denied
            | Self::Used
            | Self::Expired
            | Self::Reviewed => None,
        }
    }

    /// In one word, as types of events have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Filed => "filed",
            Self::Granted => "granted",
            Self::Revoked => "revoked",
            Self::Denied => "denied",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Lost => "lost",
            Self::Emergency => "emergency",
            Self::Overdue => "overdue",
            Self::Reviewed => "reviewed",
        }
    }
}

impl From<Alarm> for Change {
    fn from(alarm: Alarm) -> Self {
        match alarm {
            Alarm::Emergency => Self::Emergency,
            Alarm::Overdue => Self::Overdue,
            Alarm::Lost => Self::Lost,
        }
    }
}

/// The data of a notice. What people wrote is escaped, so that it shows as what it is; what looks
/// like a password is masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What became of it.
    pub change: Change,
    /// `--cluster-name`
    pub cluster: String,
    /// Namespace of the request, and of what it is for.
    pub namespace: String,
    /// Name of the request.
    pub name: String,
    /// UID of the request.
    pub uid: String,
    /// Who wants the access.
    pub user: String,
    /// Her groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Who filed it, where that was somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filed_by: Option<String>,
    /// The subresource of pods, as RBAC has it: `exec`, `attach`, `portforward` or
    /// `ephemeralcontainers`.
    pub subresource: String,
    /// What it is for: `pods/nginx`, `deployments/nginx`.
    pub target: String,
    /// The container that it leads into; `debug` adds one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What would run or be done, on one line: a command as JSON, else words.
    pub summary: String,
    /// The command of an exec, an argument each, to be shown; in `summary` no two look the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Whether any command may run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_command: bool,
    /// Whether somebody could type into it.
    pub interactive: bool,
    /// Why, as she wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else was to be said, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// Once, or for how long: `once`, `1h0m0s`.
    pub valid_for: String,
    /// When the access ends, where it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// How many must approve it, where that is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<u32>,
    /// Who granted it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub granted_by: Vec<String>,
    /// The policy that granted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Who denied it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<String>,
    /// Why it was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_because: Option<String>,
    /// The policy for emergencies that granted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<String>,
    /// Until when that must be reviewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_by: Option<String>,
    /// Who reviewed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<String>,
    /// What to type to review it, while nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
    /// What to type to grant it, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approve: Option<String>,
    /// What to type to read all of it.
    pub show: String,
    /// A page about it, where `--request-url-template` makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// All of this in one sentence.
    pub text: String,
}

impl Notice {
    /// What is told of a change. `url`: a page about the request.
    pub fn of(
        change: Change,
        object: &AccessRequest,
        new: &AccessRequestStatus,
        cluster: &str,
        url: Option<String>,
    ) -> Self {
        // Nothing else of the spec is told.
        let spec = &secrets::masked(&object.spec);
        let who = |user: &Option<UserInfo>| {
            user.as_ref()
                .map(UserInfo::name)
                .map(safe)
                .unwrap_or_default()
        };
        let (user, filed_by) = (who(&spec.user_info), who(&spec.created_by));
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let groups = spec
            .user_info
            .as_ref()
            .and_then(|user| user.groups.as_ref());
        let place = format!(
            "-n {} {}",
            argv::quote_posix(&namespace),
            argv::quote_posix(&name)
        );
        // Who read this notice approves this request, and no later one of its name.
        let uid = object.metadata.uid.as_deref();
        let pinned = uid.map(|uid| format!("@{}", argv::quote_posix(uid)));
        let pinned = pinned.unwrap_or_default();
        let ask = convert::ask(spec);
        let options = spec.exec_options.clone();
        let command = options
            .and_then(|options| options.command)
            .unwrap_or_default();
        let time = spec.valid_for.as_deref().filter(|text| !text.is_empty());
        let mut notice = Self {
            change,
            cluster: cluster.to_owned(),
            subresource: safe_word(&spec.for_object.sub_resource),
            target: format!(
                "{}/{}",
                safe(&spec.for_object.resource.resource),
                safe(&spec.for_object.name)
            ),
            container: ask
                .as_ref()
                .ok()
                .filter(|ask| !matches!(ask, Ask::Debug(_)))
                .and_then(Ask::container)
                .map(safe),
            summary: Meaning::of(spec).summary(),
            command: command.iter().map(|argument| safe(argument)).collect(),
            any_command: spec.any_command == Some(true),
            interactive: ask.as_ref().is_ok_and(Ask::is_interactive),
            reason: spec
                .reason
                .as_deref()
                .filter(|reason| !reason.is_empty())
                .map(safe),
            keys: spec
                .custom_keys
                .iter()
                .flatten()
                .map(|(key, value)| (safe(key), safe(value)))
                .collect(),
            groups: groups
                .into_iter()
                .flatten()
                .map(|group| safe(group))
                .collect(),
            valid_for: time.map_or_else(|| "once".to_owned(), safe),
            until: new.expires_at.as_ref().map(|until| shown(until.0)),
            approvals: new.approvals,
            granted_by: new.granted_by.iter().map(|by| safe(by)).collect(),
            policy: new
                .granted_by_policy
                .as_ref()
                .map(|policy| safe(&policy.name)),
            denied_by: new.denied.as_ref().map(|denied| safe(&denied.by)),
            denied_because: new
                .denied
                .as_ref()
                .and_then(|denied| denied.reason.as_deref())
                .map(|reason| safe(&secrets::masked_text(reason))),
            emergency: new
                .emergency
                .as_ref()
                .map(|emergency| safe(&emergency.policy.name)),
            review_by: new
                .emergency
                .as_ref()
                .map(|emergency| shown(emergency.review_by.0)),
            reviewed_by: new.reviewed.as_ref().map(|reviewed| safe(&reviewed.by)),
            review: (new.emergency.is_some() && new.reviewed.is_none())
                .then(|| format!("kubectl request review {place}")),
            approve: (change == Change::Filed || change == Change::Revoked)
                .then(|| format!("kubectl request approve {place}{pinned}")),
            show: format!("kubectl request show {place}"),
            url,
            filed_by: Some(filed_by).filter(|filer| !filer.is_empty() && *filer != user),
            uid: object.uid().unwrap_or_default(),
            namespace: safe(&namespace),
            name: safe(&name),
            user,
            text: String::new(),
        };
        notice.text = notice.sentence();
        notice
    }

    /// What people wrote at will comes last: nothing can be put behind it. Names before it are
    /// quoted where they are more than a word.
    fn sentence(&self) -> String {
        let (user, access) = (safe_word(&self.user), self.access());
        let reason = self
            .reason
            .as_ref()
            .map(|reason| format!(" Reason: {reason}."))
            .unwrap_or_default();
        let keys: Vec<String> = self
            .keys
            .iter()
            .map(|(key, value)| format!("{}={}", safe_word(key), safe_word(value)))
            .collect();
        let keys = if keys.is_empty() {
            String::new()
        } else {
            format!(" Keys: {}.", keys.join(", "))
        };
        let needed = self
            .approvals
            .map(|count| format!(" It needs {count} approvals."))
            .unwrap_or_default();
        let by = |who: Option<String>| who.map(|who| format!(" by {who}")).unwrap_or_default();
        match self.change {
            Change::Filed => format!("{user} asks for {access}{needed}{keys}{reason}"),
            Change::Granted => {
                let until = self
                    .until
                    .as_ref()
                    .map(|until| format!(" until {until}"))
                    .unwrap_or_default();
                format!(
                    "Granted{}{until}: {user}, {access}{keys}{reason}",
                    by(self.granted())
                )
            }
            Change::Revoked => {
                format!("Revoked, and waits again: {user}, {access}{needed}{keys}{reason}")
            }
            Change::Denied => {
                let why = self
                    .denied_because
                    .as_ref()
                    .map(|why| format!(" Why: {why}."))
                    .unwrap_or_default();
                format!(
                    "Denied{}: {user}, {access}{why}",
                    by(self.denied_by.as_deref().map(safe_word))
                )
            }
            Change::Used => format!("Used: {user}, {access}"),
            Change::Expired => format!("Over: {user}, {access}"),
            Change::Lost => format!("Used, and may have been lost: {user}, {access}"),
            Change::Emergency => {
                let until = self
                    .review_by
                    .as_ref()
                    .map(|by| format!(", to be reviewed until {by}"))
                    .unwrap_or_default();
                let policy = by(self
                    .emergency
                    .as_deref()
                    .map(|policy| format!("policy {}", safe_word(policy))));
                format!(
                    "EMERGENCY: granted without approval{policy}{until}: {user}, {access}{keys}{reason}"
                )
            }
            Change::Overdue => {
                format!(
                    "OVERDUE, nobody reviewed this emergency in time: {user}, {access}{keys}{reason}"
                )
            }
            Change::Reviewed => {
                format!(
                    "Reviewed{}, an emergency: {user}, {access}",
                    by(self.reviewed_by.as_deref().map(safe_word))
                )
            }
        }
    }

    /// What is asked for, where, and for how long.
    fn access(&self) -> String {
        let (target, namespace, summary) = (
            safe_word(&self.target),
            safe_word(&self.namespace),
            &self.summary,
        );
        let verb = Door::of(&self.subresource).map_or("access", Door::verb);
        let cluster = if self.cluster.is_empty() {
            String::new()
        } else {
            format!(" of cluster {}", self.cluster)
        };
        let container = self
            .container
            .as_ref()
            .map(|name| format!(", container {}", safe_word(name)))
            .unwrap_or_default();
        let typed = if self.interactive {
            ", interactive"
        } else {
            ""
        };
        let how_long = if self.valid_for == "once" {
            "once".to_owned()
        } else {
            format!("for {}", safe_word(&self.valid_for))
        };
        format!(
            "{verb} of {target} in namespace {namespace}{cluster}{container}{typed}, {how_long}: {summary}."
        )
    }

    fn granted(&self) -> Option<String> {
        match (&self.policy, self.granted_by.as_slice()) {
            (Some(policy), _) => Some(format!("policy {}", safe_word(policy))),
            (None, []) => None,
            (None, by) => Some(
                by.iter()
                    .map(|by| safe_word(by))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        }
    }
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
