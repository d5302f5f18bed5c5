//! What is known of each part of the lock, and what is news. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    compare::{content, differences, digest, written},
    exception::Exception,
    part::{Part, PartKind},
};

/// What a watch has seen.
#[derive(Debug, Clone)]
pub enum Sight {
    /// A part is stored like this.
    Stored(Part, Box<Stored>),
    /// A part is not stored.
    Gone(Part),
    /// What becomes of this kind is not seen at the moment.
    Unseen(PartKind),
}

/// An object as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its `metadata.uid`: another one where it was deleted and created again.
    pub uid: String,
    /// Its `metadata.generation`, where its kind has one: another one where it was changed, and
    /// changed back.
    pub generation: Option<i64>,
    /// All of it.
    pub object: Value,
}

/// How a part stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartState {
    /// As it is shipped, or as its exception says.
    Intact,
    /// Not stored.
    Missing,
    /// Otherwise, at these places.
    Differs(Vec<String>),
    /// It is not known.
    Unknown,
}

/// Something that is to be told of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartNews {
    /// The part.
    pub part: Part,
    /// How it stands now.
    pub state: PartState,
    /// The digest of what is stored.
    pub digest: Option<String>,
    /// Its `metadata.uid` and `metadata.generation`, where it is stored, and the digest of all that
    /// is written in it.
    pub version: Option<Version>,
    /// Whether it was seen before, and otherwise; else this is the first sight of it.
    pub changed: bool,
}

/// Which version of an object was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.generation`, where its kind has one.
    pub generation: Option<i64>,
    /// Of all that is written in it, what is not compared with what is shipped too.
    pub written: String,
}

/// What all parts stand at.
#[derive(Debug)]
pub struct Knowledge {
    parts: BTreeMap<Part, Known>,
}

#[derive(Debug)]
struct Known {
    shipped: Value,
    exception: Option<Exception>,
    state: PartState,
    last: Last,
}

/// What was last seen of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Last {
    /// It has not been looked at.
    Nothing,
    /// It was not stored.
    Absent,
    /// It was stored.
    Stored(Version),
}

impl Knowledge {
    /// Nothing is known yet. An exception for what is not shipped has no effect.
    pub fn new(shipped: BTreeMap<Part, Value>, mut exceptions: BTreeMap<Part, Exception>) -> Self {
        let known = |(part, shipped)| {
            let exception = exceptions.remove(&part);
            (
                part,
                Known {
                    shipped,
                    exception,
                    state: PartState::Unknown,
                    last: Last::Nothing,
                },
            )
        };
        Self {
            parts: shipped.into_iter().map(known).collect(),
        }
    }

    /// The names of all parts of a kind.
    pub fn names(&self, kind: PartKind) -> Vec<String> {
        self.parts
            .keys()
            .filter(|part| part.kind == kind)
            .map(|part| part.name.clone())
            .collect()
    }

    /// How each part stands.
    pub fn states(&self) -> impl Iterator<Item = (&Part, &PartState)> {
        self.parts.iter().map(|(part, known)| (part, &known.state))
    }

    /// Takes what was seen; answers with what is to be told.
    pub fn take(&mut self, sight: Sight) -> Vec<PartNews> {
        match sight {
            Sight::Stored(part, stored) => self.see(part, Some(&stored)).into_iter().collect(),
            Sight::Gone(part) => self.see(part, None).into_iter().collect(),
            Sight::Unseen(kind) => {
                let of_it = self.parts.iter_mut().filter(|(part, _)| part.kind == kind);
                // What was last seen stays: what changed meanwhile is news when it is seen again.
                of_it.for_each(|(_, known)| known.state = PartState::Unknown);
                Vec::new()
            }
        }
    }

    /// News is the first sight of each part, and every change: also one that was undone while
    /// nobody looked.
    fn see(&mut self, part: Part, stored: Option<&Stored>) -> Option<PartNews> {
        let known = self.parts.get_mut(&part)?;
        let content = stored.map(|stored| content(part.kind, &stored.object));
        let digest = content.as_ref().map(digest);
        known.state = known.judge(part.kind, content.as_ref(), digest.as_deref());
        let last = std::mem::replace(
            &mut known.last,
            stored.map_or(Last::Absent, |stored| Last::of(part.kind, stored)),
        );
        let changed = last != Last::Nothing;
        if changed && last == known.last {
            return None;
        }
        let version = match &known.last {
            Last::Stored(version) => Some(version.clone()),
            Last::Nothing | Last::Absent => None,
        };
        Some(PartNews {
            part,
            state: known.state.clone(),
            digest,
            version,
            changed,
        })
    }
}

impl Last {
    fn of(kind: PartKind, stored: &Stored) -> Self {
        let written = digest(&written(kind, &stored.object));
        Self::Stored(Version {
            uid: stored.uid.clone(),
            generation: stored.generation,
            written,
        })
    }
}

impl Known {
    fn judge(&self, kind: PartKind, content: Option<&Value>, digest: Option<&str>) -> PartState {
        match (&self.exception, content) {
            // Not every API server has every version of a group.
            (_, None) if kind == PartKind::APIService => PartState::Intact,
            (Some(Exception::Any), _) | (Some(Exception::Absent), None) => PartState::Intact,
            (Some(Exception::Digest(expected)), Some(_)) if Some(expected.as_str()) == digest => {
                PartState::Intact
            }
            (_, None) => PartState::Missing,
            (_, Some(content)) => match differences(&self.shipped, content) {
                none if none.is_empty() => PartState::Intact,
                some => PartState::Differs(some),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn part() -> Part {
        Part {
            kind: PartKind::ValidatingAdmissionPolicyBinding,
            name: "guard".to_owned(),
        }
    }

    fn knowledge(exception: Option<Exception>) -> Knowledge {
        let exceptions = exception
            .map(|exception| (part(), exception))
            .into_iter()
            .collect();
        Knowledge::new(
            [(part(), json!({"spec": {"policyName": "guard"}}))].into(),
            exceptions,
        )
    }

    fn version(uid: &str, generation: i64, policy: &str) -> Sight {
        let object =
            json!({"metadata": {"generation": generation}, "spec": {"policyName": policy}});
        Sight::Stored(
            part(),
            Box::new(Stored {
                uid: uid.to_owned(),
                generation: Some(generation),
                object,
            }),
        )
    }

    fn stored(policy: &str) -> Sight {
        version("1", 1, policy)
    }

    fn told(knowledge: &mut Knowledge, sight: Sight) -> Option<(PartState, bool)> {
        knowledge
            .take(sight)
            .pop()
            .map(|news| (news.state, news.changed))
    }

    fn differs() -> PartState {
        PartState::Differs(vec!["spec.policyName".to_owned()])
    }

    #[test]
    fn what_is_seen_again_as_it_was_is_no_news() {
        let mut knowledge = knowledge(None);
        assert_eq!(
            told(&mut knowledge, stored("guard")),
            Some((PartState::Intact, false)),
            "the first sight"
        );
        assert_eq!(told(&mut knowledge, stored("guard")), None);
        assert_eq!(
            knowledge.states().collect::<Vec<_>>(),
            [(&part(), &PartState::Intact)]
        );
    }

    #[test]
    fn what_is_away_for_a_moment_is_told_twice() {
        let mut knowledge = knowledge(None);
        knowledge.take(stored("guard"));
        assert_eq!(
            told(&mut knowledge, Sight::Gone(part())),
            Some((PartState::Missing, true))
        );
        assert_eq!(told(&mut knowledge, Sight::Gone(part())), None);
        assert_eq!(
            told(&mut knowledge, stored("guard")),
            Some((PartState::Intact, true))
        );
    }

    #[rstest]
    #[case::deleted_and_created_again("2", 1)]
    #[case::changed_and_changed_back("1", 3)]
    fn what_was_undone_while_nobody_looked_is_told(#[case] uid: &str, #[case] generation: i64) {
        let mut knowledge = knowledge(None);
        knowledge.take(stored("guard"));
        knowledge.take(Sight::Unseen(part().kind));
        assert_eq!(
            told(&mut knowledge, version(uid, generation, "guard")),
            Some((PartState::Intact, true))
        );
    }

    // M9
    #[test]
    fn a_definition_that_is_not_served_any_more_is_told_though_no_generation_is_raised() {
        let part = Part {
            kind: PartKind::CustomResourceDefinition,
            name: "accessgrants.spreadgroup.com".to_owned(),
        };
        let served = |established: &str| {
            let object = json!({
                "spec": {"names": {"plural": "accessgrants", "kind": "AccessGrant"}},
                "status": {
                    "acceptedNames": {"plural": "accessgrants", "kind": "AccessGrant"},
                    "conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": established}],
                },
            });
            Sight::Stored(
                part.clone(),
                Box::new(Stored {
                    uid: "1".to_owned(),
                    generation: Some(1),
                    object,
                }),
            )
        };
        let shipped = json!({"spec": {"names": {"plural": "accessgrants", "kind": "AccessGrant"}}});
        let mut knowledge = Knowledge::new([(part.clone(), shipped)].into(), BTreeMap::new());
        assert_eq!(
            told(&mut knowledge, served("True")),
            Some((PartState::Intact, false))
        );
        assert_eq!(
            told(&mut knowledge, served("False")),
            Some((PartState::Differs(vec!["status".to_owned()]), true))
        );
        assert_eq!(
            told(&mut knowledge, served("True")),
            Some((PartState::Intact, true))
        );
    }

    #[test]
    fn what_is_not_compared_is_told_when_it_changes() {
        let part = Part {
            kind: PartKind::ValidatingWebhookConfiguration,
            name: "kube-request-access".to_owned(),
        };
        let webhooks = |bundle: &str| {
            let object =
                json!({"webhooks": [{"name": "access", "clientConfig": {"caBundle": bundle}}]});
            Sight::Stored(
                part.clone(),
                Box::new(Stored {
                    uid: "1".to_owned(),
                    generation: Some(1),
                    object,
                }),
            )
        };
        let shipped = json!({"webhooks": [{"name": "access", "clientConfig": {}}]});
        let mut knowledge = Knowledge::new([(part.clone(), shipped)].into(), BTreeMap::new());
        assert_eq!(
            told(&mut knowledge, webhooks("ours")),
            Some((PartState::Intact, false))
        );
        assert_eq!(
            told(&mut knowledge, webhooks("theirs")),
            Some((PartState::Intact, true))
        );
    }

    #[test]
    fn what_changed_while_nobody_looked_is_told_when_it_is_seen() {
        let mut knowledge = knowledge(None);
        knowledge.take(stored("guard"));
        assert_eq!(told(&mut knowledge, Sight::Unseen(part().kind)), None);
        assert_eq!(
            knowledge.states().collect::<Vec<_>>(),
            [(&part(), &PartState::Unknown)]
        );
        assert_eq!(
            told(&mut knowledge, stored("other")),
            Some((differs(), true))
        );
        knowledge.take(Sight::Unseen(part().kind));
        assert_eq!(told(&mut knowledge, stored("other")), None);
        assert_eq!(
            knowledge.states().collect::<Vec<_>>(),
            [(&part(), &differs())]
        );
    }

    #[test]
    fn an_exception_holds_for_what_it_says_and_changes_are_told_all_the_same() {
        let mut absent = knowledge(Some(Exception::Absent));
        assert_eq!(
            told(&mut absent, Sight::Gone(part())),
            Some((PartState::Intact, false))
        );
        assert_eq!(told(&mut absent, stored("other")), Some((differs(), true)));

        let digest = digest(&json!({"spec": {"policyName": "other"}}));
        let mut other = knowledge(Some(Exception::Digest(digest)));
        assert_eq!(
            told(&mut other, stored("other")),
            Some((PartState::Intact, false))
        );
        assert_eq!(told(&mut other, stored("another")), Some((differs(), true)));
        assert_eq!(
            told(&mut other, Sight::Gone(part())),
            Some((PartState::Missing, true))
        );

        let mut any = knowledge(Some(Exception::Any));
        assert_eq!(
            told(&mut any, stored("other")),
            Some((PartState::Intact, false))
        );
        assert_eq!(
            told(&mut any, stored("another")),
            Some((PartState::Intact, true))
        );
        assert_eq!(
            told(&mut any, Sight::Gone(part())),
            Some((PartState::Intact, true))
        );
    }

    #[test]
    fn what_is_no_part_is_no_news() {
        let mut knowledge = knowledge(None);
        let other = Part {
            name: "other".to_owned(),
            ..part()
        };
        let stored = Stored {
            uid: "1".to_owned(),
            generation: None,
            object: json!({}),
        };
        assert_eq!(knowledge.take(Sight::Stored(other, Box::new(stored))), []);
    }
}
