//! What is stored: requests and grants of many people over many namespaces, as etcd has them, sealed
//! with the server's key.
//!
//! The same number is always the same object, so a population can grow, and be written again.

use anyhow::Context as _;
use api::{AccessGrant, AccessPolicy, AccessRequest, contract::annotations::SEAL};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use server::cluster::seal::Sealer;

use super::models::{APPROVER, ARGUMENT, Model, Models, USER, key, policy_key};

const PEOPLE: usize = 300;
const NAMESPACES: usize = 200;
const SHORTEST: f64 = 20.0;
const LONGEST: f64 = 2000.0;

/// A key and what stands under it.
pub(super) type Entry = (String, Vec<u8>);

/// What makes objects.
pub(super) struct Population<'a> {
    pub(super) models: &'a Models,
    pub(super) sealer: &'a Sealer,
    /// When it was made, so that a number stays the same object.
    pub(super) now: Timestamp,
}

/// What a copy has of its own.
pub(super) struct Copy<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) user: &'a str,
    pub(super) approver: &'a str,
    pub(super) command: Value,
    /// The pod, by name and UID, where it is another one than the model's.
    pub(super) pod: Option<(String, String)>,
    pub(super) uids: [String; 2],
    /// How much earlier than now it was filed.
    pub(super) age: SignedDuration,
    /// What it is labelled with.
    pub(super) label: Option<&'a str>,
}

impl Population<'_> {
    /// The request with this number, and its grant where it was answered. Of a hundred, 95 are over.
    pub(super) fn object(&self, number: usize, label: Option<&str>) -> anyhow::Result<Vec<Entry>> {
        let mut rng = Rng::with_seed(u64::try_from(number)?);
        let hours = |rng: &mut Rng, from: i64, to: i64| {
            SignedDuration::from_secs(rng.i64(from * 3600..to * 3600))
        };
        let (model, age) = match rng.u32(0..1000) {
            0..25 => (&self.models.pending, hours(&mut rng, 0, 24)),
            25..50 => (&self.models.granted, hours(&mut rng, 0, 9)),
            50..100 => (&self.models.denied, hours(&mut rng, 13, 144)),
            100..400 => (&self.models.used, hours(&mut rng, 13, 144)),
            _ => (&self.models.expired, hours(&mut rng, 13, 144)),
        };
        let namespace = format!("team-{:03}", rng.usize(..NAMESPACES));
        let copy = Copy {
            name: &format!("request-{number:07}"),
            namespace: &namespace,
            user: &format!("person-{:03}@example.com", rng.usize(..PEOPLE)),
            approver: &format!("lead-{:02}@example.com", rng.usize(..PEOPLE / 10)),
            command: command(&mut rng),
            pod: Some((
                format!("app-{:x}-{:x}", rng.u32(..), rng.u16(..)),
                uid(&mut rng),
            )),
            uids: [uid(&mut rng), uid(&mut rng)],
            age,
            label,
        };
        self.copy(model, &copy)
    }

    /// A request, and its grant where the model has one.
    pub(super) fn copy(&self, model: &Model, copy: &Copy<'_>) -> anyhow::Result<Vec<Entry>> {
        let mut stored: Value = serde_json::from_str(&model.request)?;
        let original = Original::of(&stored)?;
        let shift = self.now.duration_since(original.created) - copy.age;
        original.rename(&mut stored, copy);
        shift_times(&mut stored, shift);
        if let Some(label) = copy.label {
            stored["metadata"]["labels"] = json!({"bench": label});
        }
        let mut request: AccessRequest = serde_json::from_value(stored.clone())?;
        let created = request
            .metadata
            .creation_timestamp
            .clone()
            .context("a model has no time")?
            .0;
        let seal = self
            .sealer
            .seal_request(&request, created)
            .context("nothing is sealed")?;
        stored["metadata"]["annotations"][SEAL] = json!(seal);
        request
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(SEAL.to_owned(), seal);
        let mut entries = vec![(
            key("accessrequests", copy.namespace, copy.name),
            bytes(&stored)?,
        )];
        if let Some(grant) = &model.grant {
            let mut stored: Value = serde_json::from_str(grant)?;
            original.rename(&mut stored, copy);
            shift_times(&mut stored, shift);
            let grant: AccessGrant = serde_json::from_value(stored.clone())?;
            let at = grant
                .spec
                .seal
                .as_ref()
                .context("a model has no seal")?
                .at
                .0;
            let seal = self
                .sealer
                .seal_grant(&grant, &request, at)
                .context("nothing is sealed")?;
            stored["spec"]["seal"] = serde_json::to_value(seal)?;
            entries.push((
                key("accessgrants", copy.namespace, copy.name),
                bytes(&stored)?,
            ));
        }
        Ok(entries)
    }

    /// A policy that matches nothing here. All are different.
    pub(super) fn policy(&self, number: usize) -> anyhow::Result<Entry> {
        let mut rng = Rng::with_seed(u64::try_from(number)?);
        let name = format!("policy-{number:03}");
        let text = self
            .models
            .policy
            .replace("model-policy", &name)
            .replace("model-group", &format!("group-{number}"))
            .replace("model-namespace", &format!("elsewhere-{number}"))
            .replace("INC-", &format!("INC-{number}-"));
        let mut stored: Value = serde_json::from_str(&text)?;
        stored["metadata"]["uid"] = json!(uid(&mut rng));
        let policy: AccessPolicy = serde_json::from_value(stored.clone())?;
        let created = policy
            .metadata
            .creation_timestamp
            .clone()
            .context("a model has no time")?
            .0;
        let generation = policy.metadata.generation.unwrap_or(1);
        let seal = self
            .sealer
            .seal_policy(&policy, generation, created)
            .context("nothing is sealed")?;
        stored["metadata"]["annotations"][SEAL] = json!(seal);
        Ok((policy_key(&name), bytes(&stored)?))
    }
}

/// As the API server stores custom resources: JSON, and an end of line.
fn bytes(object: &Value) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(object)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What of a model's request stands in it and in its grant.
struct Original {
    name: String,
    namespace: String,
    uid: String,
    pod_uid: Option<String>,
    created: Timestamp,
}

impl Original {
    fn of(request: &Value) -> anyhow::Result<Self> {
        let text = |pointer: &str| {
            let found = request.pointer(pointer).and_then(Value::as_str);
            found
                .map(str::to_owned)
                .with_context(|| format!("a model has no {pointer}"))
        };
        Ok(Self {
            name: text("/metadata/name")?,
            namespace: text("/metadata/namespace")?,
            uid: text("/metadata/uid")?,
            pod_uid: text("/spec/forObject/uid").ok(),
            created: text("/metadata/creationTimestamp")?.parse()?,
        })
    }

    /// Gives all of it to a copy, wherever it stands as a whole text.
    fn rename(&self, stored: &mut Value, copy: &Copy<'_>) {
        let [request_uid, grant_uid] = &copy.uids;
        if stored["kind"] == "AccessGrant" {
            stored["metadata"]["uid"] = json!(grant_uid);
        }
        let command = stored.pointer_mut("/spec/execOptions/command");
        if let Some(command) = command.filter(|command| **command == json!([ARGUMENT])) {
            *command = copy.command.clone();
        }
        if let (Some((pod, pod_uid)), Some(name)) =
            (&copy.pod, stored.pointer_mut("/spec/forObject/name"))
        {
            *name = json!(pod);
            for one in stored
                .pointer_mut("/status/uses")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                one["pod"] = json!(pod);
                one["podUID"] = json!(pod_uid);
            }
        }
        texts(stored, &mut |text| {
            let new = match text.as_str() {
                USER => copy.user,
                APPROVER => copy.approver,
                same if *same == self.uid => request_uid,
                same if *same == self.name => copy.name,
                same if *same == self.namespace => copy.namespace,
                same if self.pod_uid.as_deref() == Some(same) => match &copy.pod {
                    Some((_, uid)) => uid,
                    None => return,
                },
                // Messages of conditions.
                _ if text.contains(APPROVER) || text.contains(USER) => {
                    *text = text
                        .replace(APPROVER, copy.approver)
                        .replace(USER, copy.user);
                    return;
                }
                _ => return,
            };
            new.clone_into(text);
        });
    }
}

/// All times move, those in sentences too: a condition tells when an access ended.
fn shift_times(stored: &mut Value, by: SignedDuration) {
    let shifted = |word: &str| {
        let time: Timestamp = word.parse().ok()?;
        Some((time.checked_add(by).ok()?).to_string())
    };
    texts(stored, &mut |text| {
        if text.contains("T") && text.contains("Z") {
            let words = text
                .split(' ')
                .map(|word| shifted(word).unwrap_or_else(|| word.to_owned()));
            *text = words.collect::<Vec<_>>().join(" ");
        }
    });
}

fn texts(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(values) => values.iter_mut().for_each(|value| texts(value, change)),
        Value::Object(fields) => fields.values_mut().for_each(|value| texts(value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A command of 20 to 2,000 bytes, short ones more often.
fn command(rng: &mut Rng) -> Value {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789 -/.=";
    let length = SHORTEST * (LONGEST / SHORTEST).powf(rng.f64());
    let mut text = String::new();
    while text.len() as f64 <= length - 4.0 {
        text.push(char::from(
            rng.choice(LETTERS.iter()).copied().unwrap_or(b'a'),
        ));
    }
    json!(["sh", "-c", text])
}

fn uid(rng: &mut Rng) -> String {
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        rng.u32(..),
        rng.u16(..),
        rng.u16(..0x1000),
        rng.u16(..0x1000),
        rng.u64(..1 << 48)
    )
}
