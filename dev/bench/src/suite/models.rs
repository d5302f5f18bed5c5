//! One object of each kind, made as users make them and read as etcd has it: what populations are
//! copied from.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such field is null"
)]

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{
    attempts,
    client::Person,
    stage::{NAMESPACE, POD, Stage},
};
use crate::review::{self, Template};

/// How long a controller may take for a status.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands in a model where a copy has something of its own.
pub(super) const USER: &str = "model-user";
pub(super) const APPROVER: &str = "model-approver";
pub(super) const ARGUMENT: &str = "model-argument";

/// A request as it is stored, and its grant.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) request: String,
    pub(super) grant: Option<String>,
}

/// One of each kind.
#[derive(Debug, Clone)]
pub(super) struct Models {
    pub(super) pending: Model,
    pub(super) granted: Model,
    /// For once, not used yet.
    pub(super) once: Model,
    pub(super) used: Model,
    pub(super) expired: Model,
    pub(super) denied: Model,
    pub(super) policy: String,
}

/// Where our objects are.
pub(super) const API: &str = "/apis/spreadgroup.com/v1";

pub(super) fn path(plural: &str, name: &str) -> String {
    format!("{API}/namespaces/{NAMESPACE}/{plural}/{name}")
}

pub(super) fn key(plural: &str, namespace: &str, name: &str) -> String {
    format!("/registry/spreadgroup.com/{plural}/{namespace}/{name}")
}

pub(super) fn policy_key(name: &str) -> String {
    format!("/registry/spreadgroup.com/accesspolicies/{name}")
}

/// A name, how long it is asked for, the answer and the phase.
type Kind = [&'static str; 4];
const USED: Kind = ["used", "", "granted", "Granted"];
const KINDS: [Kind; 4] = [
    ["granted", "12h", "granted", "Granted"],
    ["once", "", "granted", "Granted"],
    ["expired", "1s", "granted", "Expired"],
    ["denied", "1h", "denied", "Denied"],
];

impl Models {
    /// Makes them; the server must run.
    pub(super) fn make(stage: &mut Stage) -> anyhow::Result<Self> {
        file(stage, "pending", "1h")?;
        await_phase(stage, "pending", "Pending")?;
        // Before there is another one that its attempt could use.
        answered(stage, &USED)?;
        spend(stage, "used")?;
        await_phase(stage, "used", "Used")?;
        for kind in &KINDS {
            answered(stage, kind)?;
        }
        let mut model = |name: &str| take(stage, name);
        let models = Self {
            pending: model("pending")?,
            granted: model("granted")?,
            once: model("once")?,
            used: model("used")?,
            expired: model("expired")?,
            denied: model("denied")?,
            policy: policy(stage)?,
        };
        Ok(models)
    }
}

/// Files a request, has it answered, and waits for what its status says then.
fn answered(stage: &mut Stage, kind: &Kind) -> anyhow::Result<()> {
    let [name, valid_for, answer, phase] = kind;
    let uid = file(stage, name, valid_for)?;
    answer_with(stage, name, &uid, answer)?;
    await_phase(stage, name, phase)
}

/// Files a request; answers with its UID.
fn file(stage: &mut Stage, name: &str, valid_for: &str) -> anyhow::Result<String> {
    let mut request = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "metadata": {"name": name_of(name)},
        "spec": attempts::spec(&json!([ARGUMENT])),
    });
    if !valid_for.is_empty() {
        request["spec"]["validFor"] = json!(valid_for);
    }
    let created = stage
        .api
        .create(
            &path("accessrequests", ""),
            &request,
            Some(&Person::new(USER, "devs")),
        )
        .with_context(|| format!("cannot file the {name} model"))?;
    let uid = created.pointer("/metadata/uid").and_then(Value::as_str);
    Ok(uid
        .context("a request was stored without a UID")?
        .to_owned())
}

fn answer_with(stage: &mut Stage, name: &str, uid: &str, answer: &str) -> anyhow::Result<()> {
    let grant = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant", "metadata": {"name": name_of(name)},
        "spec": {"grantFor": name_of(name), "requestUID": uid}, "status": answer,
    });
    stage
        .api
        .create(
            &path("accessgrants", ""),
            &grant,
            Some(&Person::new(APPROVER, "approvers")),
        )
        .with_context(|| format!("cannot answer the {name} model"))?;
    Ok(())
}

fn name_of(model: &str) -> String {
    format!("model-{model}")
}

/// Reads until it is so, or fails.
pub(super) fn eventually(
    what: &str,
    mut is_so: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    while !is_so()? {
        if started.elapsed() > PATIENCE {
            bail!("it never came about: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn await_phase(stage: &mut Stage, name: &str, phase: &str) -> anyhow::Result<()> {
    eventually(&format!("the model {name} is {phase}"), || {
        let request = stage.api.get(&path("accessrequests", &name_of(name)))?;
        let status = &request["status"];
        // Of a use it is told a moment later that it was answered.
        let is_answered = phase != "Used" || status.pointer("/uses/0/outcome").is_some();
        Ok(status["phase"] == phase && is_answered)
    })
}

/// Uses the request, as the API server would ask for it.
fn spend(stage: &mut Stage, name: &str) -> anyhow::Result<()> {
    let mut client = stage.client()?;
    let template = Template::new(attempts::exec(USER, POD, &json!([ARGUMENT])))?;
    let target = client.target().path.clone();
    let mut said = String::new();
    let used = eventually(&format!("the model {name} can be used"), || {
        let uid = review::uid();
        let answer = client.post(&target, template.body(&uid))?;
        let decision = review::decision(&answer, &uid)?;
        said = decision.message;
        Ok(decision.allowed)
    });
    used.context(said)
}

/// What etcd has.
fn take(stage: &mut Stage, name: &str) -> anyhow::Result<Model> {
    let read = |plural: &str| -> anyhow::Result<Option<String>> {
        let stored = stage
            .running
            .stored(&key(plural, NAMESPACE, &name_of(name)))?;
        Ok(stored.map(String::from_utf8).transpose()?)
    };
    Ok(Model {
        request: read("accessrequests")?.context("a model is not stored")?,
        grant: read("accessgrants")?,
    })
}

/// A policy that concerns nobody here.
fn policy(stage: &mut Stage) -> anyhow::Result<String> {
    let name = name_of("policy");
    let object = json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy", "metadata": {"name": name},
        "spec": {
            "effect": "Allow", "subjects": [{"kind": "Group", "name": "model-group"}], "namespaces": ["model-namespace-*"],
            "subresources": ["exec"], "commands": [{"program": "ls"}, {"exactly": ["cat", "/etc/hostname"]}],
            "reason": {"pattern": "INC-[0-9]{4,8}: .+", "prompt": "the incident"}, "validFor": "1h",
        },
    });
    let owner = Person::new("model-owner", "kube-request-access:policy-owners");
    stage
        .api
        .create(&format!("{API}/accesspolicies"), &object, Some(&owner))
        .context("cannot write a policy")?;
    let path = format!("{API}/accesspolicies/{name}");
    eventually("the policy is sealed", || {
        Ok(stage.api.get(&path)?.pointer("/status/conditions/0/status") == Some(&json!("True")))
    })?;
    let stored = stage.running.stored(&policy_key(&name))?;
    stage.api.delete(&path, Some(&owner))?;
    Ok(String::from_utf8(
        stored.context("a policy is not stored")?,
    )?)
}
