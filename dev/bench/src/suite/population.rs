//! What is stored: requests and grants of many people over many namespaces, as etcd has them, sealed
//! with the server's key.
//!
//! The same number is always the same object, so a population can grow, and be written again.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such field is null"
)]

use anyhow::Context as _;
use api::{AccessGrant, AccessPolicy, AccessRequest, contract::annotations::SEAL};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use server::cluster::seal::Sealer;

use super::models::{APPROVER, ARGUMENT, Model, Models, USER, key, policy_key};

const PEOPLE: usize = 300;
const NAMESPACES: usize = 200;
const HOUR: i64 = 3600;
/// Lengths of commands, without `sh -c`.
const SHORTEST: usize = 16;
const LONGEST: [usize; 7] = [40, 80, 160, 320, 640, 1280, 1996];

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
        let (model, age) = match rng.u32(0..1000) {
            0..25 => (&self.models.pending, age(&mut rng, 0..24 * HOUR)),
            25..50 => (&self.models.granted, age(&mut rng, 0..9 * HOUR)),
            50..100 => (&self.models.denied, age(&mut rng, 13 * HOUR..144 * HOUR)),
            100..400 => (&self.models.used, age(&mut rng, 13 * HOUR..144 * HOUR)),
            _ => (&self.models.expired, age(&mut rng, 13 * HOUR..144 * HOUR)),
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
        let shift = self
            .now
            .duration_since(original.created)
            .saturating_sub(copy.age);
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
        if text.contains('T') && text.contains('Z') {
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

/// How long ago, in seconds.
fn age(rng: &mut Rng, range: std::ops::Range<i64>) -> SignedDuration {
    SignedDuration::from_secs(rng.i64(range))
}

/// A command of 20 to 2,000 bytes, short ones more often.
fn command(rng: &mut Rng) -> Value {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789 -/.=";
    let most = rng.choice(LONGEST).unwrap_or(SHORTEST + 1);
    let length = rng.usize(SHORTEST..most);
    let letters = std::iter::repeat_with(|| rng.choice(LETTERS.iter()).copied().map(char::from));
    let text: String = letters.flatten().take(length).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"{"apiVersion":"spreadgroup.com/v1","kind":"AccessRequest",
        "metadata":{"name":"model-expired","namespace":"bench","uid":"11111111-1111-4111-8111-111111111111",
            "creationTimestamp":"2026-11-28T06:00:00Z","annotations":{"spreadgroup.com/seal":"2026-11-28T06:00:00Z ab"}},
        "spec":{"userInfo":{"username":"model-user"},"validFor":"1s",
            "forObject":{"resource":{"group":"","version":"v1","resource":"pods"},"subResource":"exec","name":"box","namespace":"bench","uid":"pod-uid"},
            "execOptions":{"command":["model-argument"]}},
        "status":{"phase":"Expired","conditions":[{"type":"Expired","status":"True","reason":"Expired",
            "message":"ended at 2026-11-28T06:00:01Z","lastTransitionTime":"2026-11-28T06:00:02Z"}]}}"#;
    const GRANT: &str = r#"{"apiVersion":"spreadgroup.com/v1","kind":"AccessGrant",
        "metadata":{"name":"model-expired","namespace":"bench","uid":"22222222-2222-4222-8222-222222222222","creationTimestamp":"2026-11-28T06:00:00Z"},
        "spec":{"grantFor":"model-expired","requestUID":"11111111-1111-4111-8111-111111111111","grantedBy":{"username":"model-approver"},
            "seal":{"at":"2026-11-28T06:00:00Z","mac":"ab"}},"status":"granted"}"#;
    const POLICY: &str = r#"{"apiVersion":"spreadgroup.com/v1","kind":"AccessPolicy",
        "metadata":{"name":"model-policy","uid":"x","generation":1,"creationTimestamp":"2026-11-28T06:00:00Z","annotations":{}},
        "spec":{"effect":"Allow","subjects":[{"kind":"Group","name":"model-group"}],"namespaces":["model-namespace-*"],"subresources":["exec"]}}"#;

    fn models() -> Models {
        let model = Model {
            request: REQUEST.to_owned(),
            grant: Some(GRANT.to_owned()),
        };
        Models {
            pending: model.clone(),
            granted: model.clone(),
            once: model.clone(),
            used: model.clone(),
            expired: model.clone(),
            denied: model,
            policy: POLICY.to_owned(),
        }
    }

    fn with_population(check: impl FnOnce(&Population<'_>)) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("seal-key");
        std::fs::write(&file, "0123456789abcdef0123456789abcdef").unwrap();
        check(&Population {
            models: &models(),
            sealer: &Sealer::load(file).unwrap(),
            now: "2026-12-01T00:00:00Z".parse().unwrap(),
        });
    }

    #[test]
    fn copies_have_good_seals_and_differ_and_the_same_number_is_the_same() {
        with_population(|population| {
            let both = |number| {
                let entries = population.object(number, None).unwrap();
                let request: AccessRequest = serde_json::from_slice(&entries[0].1).unwrap();
                let grant: AccessGrant = serde_json::from_slice(&entries[1].1).unwrap();
                (entries, request, grant)
            };
            let (entries, request, grant) = both(7);
            assert!(population.sealer.request(&request).is_good());
            assert!(population.sealer.grant(&grant, &request).is_good());
            assert_eq!(grant.spec.request_uid, request.metadata.uid);
            assert_ne!(grant.metadata.uid, request.metadata.uid);
            assert!(entries[0].0.ends_with("/request-0000007"));
            assert_eq!(both(7).0, entries);
            assert_ne!(both(8).1.metadata.uid, request.metadata.uid);
            let text: String = entries
                .iter()
                .map(|(_, value)| String::from_utf8_lossy(value))
                .collect();
            for model in [USER, APPROVER, ARGUMENT, "model-", "\"bench\"", "pod-uid"] {
                assert!(!text.contains(model), "{model}: {text}");
            }
        });
    }

    #[test]
    fn all_times_move_alike_those_in_sentences_too() {
        let mut stored: Value = serde_json::from_str(REQUEST).unwrap();
        shift_times(&mut stored, SignedDuration::from_hours(-24));
        let condition = &stored["status"]["conditions"][0];
        assert_eq!(condition["message"], "ended at 2026-11-27T06:00:01Z");
        assert_eq!(condition["lastTransitionTime"], "2026-11-27T06:00:02Z");
        assert_eq!(stored["spec"]["userInfo"]["username"], USER);
    }

    #[test]
    fn commands_have_20_to_2000_bytes() {
        let mut rng = Rng::with_seed(1);
        for _ in 0..1000 {
            let command = command(&mut rng);
            let length: usize = command
                .as_array()
                .unwrap()
                .iter()
                .map(|part| part.as_str().unwrap().len())
                .sum();
            assert!((20..=2000).contains(&length), "{length}");
        }
    }

    #[test]
    fn policies_differ_and_are_sealed() {
        with_population(|population| {
            let policy = |number| {
                let (key, value) = population.policy(number).unwrap();
                (key, serde_json::from_slice::<AccessPolicy>(&value).unwrap())
            };
            let ((key, one), (_, other)) = (policy(1), policy(2));
            assert_eq!(key, "/registry/spreadgroup.com/accesspolicies/policy-001");
            assert!(population.sealer.policy(&one).is_good());
            assert_ne!(one.spec, other.spec);
        });
    }
}
