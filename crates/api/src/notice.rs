//! What is told of a request when something becomes of it: all that somebody needs who is to answer it.

use decide::{access::Ask, argv, attempt::Door, copy::Direction, explain::safe};
use jiff::Timestamp;
use kube::ResourceExt as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    AccessRequest, AccessRequestStatus, Phase, UserInfo, convert,
    objects::{OVERDUE, Outcome, REVIEWED},
    secrets,
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
    /// Its single use was taken by a server that did not live to answer.
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
        let lost = |status: &AccessRequestStatus| status.uses.iter().any(|one| one.outcome == Some(Outcome::Lost));
        let phase = new.phase.filter(|_| old.phase != new.phase).map(|phase| match phase {
            Phase::Pending if old.phase.is_none() => Self::Filed,
            Phase::Pending => Self::Revoked,
            Phase::Granted => Self::Granted,
            Phase::Denied => Self::Denied,
            Phase::Used => Self::Used,
            Phase::Expired => Self::Expired,
        });
        let overdue = |status: &AccessRequestStatus| {
            let mut conditions = status.conditions.iter();
            conditions.any(|condition| condition.type_ == REVIEWED && condition.reason == OVERDUE)
        };
        let more = [
            (old.emergency.is_none() && new.emergency.is_some(), Self::Emergency),
            (!overdue(old) && overdue(new), Self::Overdue),
            (old.reviewed.is_none() && new.reviewed.is_some(), Self::Reviewed),
            (!lost(old) && lost(new), Self::Lost),
        ];
        phase.into_iter().chain(more.into_iter().filter_map(|(is, change)| is.then_some(change))).collect()
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

/// The data of a notice. What people wrote is escaped, so that it shows as what it is; what looks like a password is masked.
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
    /// Who filed it, where that was somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filed_by: Option<String>,
    /// The door, as kubectl calls it: `exec`, `attach`, `port-forward`, `debug`.
    pub door: String,
    /// What it is for: `pods/nginx`, `deployments/nginx`.
    pub target: String,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What would run or be done, on one line: a command as JSON, else words.
    pub what: String,
    /// The command of an exec, an argument each.
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
        let spec = &object.spec;
        let who = |user: &Option<UserInfo>| user.as_ref().map(UserInfo::name).map(safe).unwrap_or_default();
        let (user, filed_by) = (who(&spec.user_info), who(&spec.created_by));
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let place = format!("-n {} {}", argv::quote_posix(&namespace), argv::quote_posix(&name));
        let ask = convert::ask(spec);
        let options = secrets::masked(spec).exec_options;
        let command = options.and_then(|options| options.command).unwrap_or_default();
        let time = spec.valid_for.as_deref().filter(|text| !text.is_empty());
        let mut notice = Self {
            change,
            cluster: cluster.to_owned(),
            door: Door::of(&spec.for_object.sub_resource).map_or("access", Door::verb).to_owned(),
            target: format!("{}/{}", safe(&spec.for_object.resource.resource), safe(&spec.for_object.name)),
            container: ask.as_ref().ok().and_then(Ask::container).map(safe),
            what: what(object),
            command: command.iter().map(|argument| safe(argument)).collect(),
            any_command: spec.any_command == Some(true),
            interactive: ask.as_ref().is_ok_and(Ask::is_interactive),
            reason: spec.reason.as_deref().filter(|reason| !reason.is_empty()).map(safe),
            valid_for: time.map_or_else(|| "once".to_owned(), safe),
            until: new.expires_at.as_ref().map(|until| shown(until.0)),
            approvals: new.approvals,
            granted_by: new.granted_by.iter().map(|by| safe(by)).collect(),
            policy: new.granted_by_policy.as_ref().map(|policy| safe(&policy.name)),
            denied_by: new.denied.as_ref().map(|denied| safe(&denied.by)),
            denied_because: new.denied.as_ref().and_then(|denied| denied.reason.as_deref()).map(safe),
            emergency: new.emergency.as_ref().map(|emergency| safe(&emergency.policy.name)),
            review_by: new.emergency.as_ref().map(|emergency| shown(emergency.review_by.0)),
            reviewed_by: new.reviewed.as_ref().map(|reviewed| safe(&reviewed.by)),
            review: (new.emergency.is_some() && new.reviewed.is_none())
                .then(|| format!("kubectl request review {place}")),
            approve: (change == Change::Filed || change == Change::Revoked)
                .then(|| format!("kubectl request approve {place}")),
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

    fn sentence(&self) -> String {
        let Self { user, door, target, namespace, what, .. } = self;
        let cluster = if self.cluster.is_empty() { String::new() } else { format!(" of cluster {}", self.cluster) };
        let container = self.container.as_ref().map(|name| format!(", container {name}")).unwrap_or_default();
        let typed = if self.interactive { ", interactive" } else { "" };
        let how_long = if self.valid_for == "once" { "once".to_owned() } else { format!("for {}", self.valid_for) };
        let reason = self.reason.as_ref().map(|reason| format!(" Reason: {reason}.")).unwrap_or_default();
        let access =
            format!("{door} of {target} in namespace {namespace}{cluster}{container}{typed}, {how_long}: {what}.");
        let by = || match (&self.policy, self.granted_by.as_slice()) {
            (Some(policy), _) => format!(" by policy {policy}"),
            (None, []) => String::new(),
            (None, by) => format!(" by {}", by.join(", ")),
        };
        let needed = self.approvals.map(|count| format!(" It needs {count} approvals.")).unwrap_or_default();
        match self.change {
            // What she wrote comes last: nothing can be put behind it.
            Change::Filed => format!("{user} asks for {access}{needed}{reason}"),
            Change::Granted => {
                let until = self.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
                format!("Granted{}{until}: {user}, {access}{reason}", by())
            }
            Change::Revoked => format!("Revoked, and waits again: {user}, {access}{needed}{reason}"),
            Change::Denied => {
                let by = self.denied_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                let why = self.denied_because.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                format!("Denied{by}{why}: {user}, {access}")
            }
            Change::Used => format!("Used: {user}, {access}"),
            Change::Expired => format!("Over: {user}, {access}"),
            Change::Lost => format!("Used, and may have been lost: {user}, {access}"),
            Change::Emergency => {
                let policy = self.emergency.as_ref().map(|policy| format!(" by policy {policy}")).unwrap_or_default();
                let until =
                    self.review_by.as_ref().map(|by| format!(", to be reviewed until {by}")).unwrap_or_default();
                format!("EMERGENCY: granted without approval{policy}{until}: {user}, {access}{reason}")
            }
            Change::Overdue => format!("OVERDUE, nobody reviewed this emergency in time: {user}, {access}{reason}"),
            Change::Reviewed => {
                let by = self.reviewed_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                format!("Reviewed{by}, an emergency: {user}, {access}")
            }
        }
    }
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What would run or be done.
fn what(object: &AccessRequest) -> String {
    let spec = secrets::masked(&object.spec);
    let command = spec.exec_options.as_ref().and_then(|options| options.command.clone()).unwrap_or_default();
    match convert::ask(&spec) {
        Ok(Ask::Exec(_)) if spec.any_command == Some(true) => "ANY command".to_owned(),
        Ok(Ask::Exec(_)) => argv::show(&command),
        Ok(Ask::Copy(copy)) => match copy.direction {
            Direction::To => {
                format!("cp INTO {}, unpacked in {}", argv::quote_json(&copy.path), argv::quote_json(&copy.directory))
            }
            Direction::From => format!("cp out of {}", argv::quote_json(&copy.path)),
        },
        Ok(Ask::Attach(_)) => "attach to what runs".to_owned(),
        Ok(Ask::PortForward) => "ANY port".to_owned(),
        Ok(Ask::Debug(ask)) => {
            let words: Vec<String> = ask.container.command.iter().chain(&ask.container.args).cloned().collect();
            format!("a container of image {} running {}", argv::quote_json(&ask.container.image), argv::show(&words))
        }
        Err(error) => format!("what is not understood: {}", safe(&error.to_string())),
    }
}
