//! What is known of each part of the lock, and what is news. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    compare::{content, differences, digest},
    exception::Exception,
    part::{Kind, Part},
};

/// What a watch has seen.
#[derive(Debug, Clone)]
pub enum Sight {
    /// A part is stored like this.
    Stored(Part, Value),
    /// A part is not stored.
    Gone(Part),
    /// What becomes of this kind is not seen at the moment.
    Unseen(Kind),
}

/// How a part stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
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
pub struct News {
    /// The part.
    pub part: Part,
    /// How it stands now.
    pub state: State,
    /// The digest of what is stored.
    pub digest: Option<String>,
    /// Whether it was seen before, and otherwise.
    pub changed: bool,
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
    state: State,
    last: Last,
}

/// What was last seen of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Last {
    /// It has not been looked at.
    Nothing,
    /// It was not stored.
    Absent,
    /// It had this digest.
    Stored(String),
}

impl Knowledge {
    /// Nothing is known yet. An exception for what is not shipped has no effect.
    pub fn new(shipped: BTreeMap<Part, Value>, mut exceptions: BTreeMap<Part, Exception>) -> Self {
        let known = |(part, shipped)| {
            let exception = exceptions.remove(&part);
            (part, Known { shipped, exception, state: State::Unknown, last: Last::Nothing })
        };
        Self { parts: shipped.into_iter().map(known).collect() }
    }

    /// The names of all parts of a kind.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        self.parts.keys().filter(|part| part.kind == kind).map(|part| part.name.clone()).collect()
    }

    /// How each part stands.
    pub fn states(&self) -> impl Iterator<Item = (&Part, &State)> {
        self.parts.iter().map(|(part, known)| (part, &known.state))
    }

    /// Takes what was seen; answers with what is to be told.
    pub fn take(&mut self, sight: Sight) -> Vec<News> {
        match sight {
            Sight::Stored(part, object) => {
                let content = content(part.kind, &object);
                self.see(part, Some(&content)).into_iter().collect()
            }
            Sight::Gone(part) => self.see(part, None).into_iter().collect(),
            Sight::Unseen(kind) => {
                let of_it = self.parts.iter_mut().filter(|(part, _)| part.kind == kind);
                // What was last seen stays: what changed meanwhile is news when it is seen again.
                of_it.for_each(|(_, known)| known.state = State::Unknown);
                Vec::new()
            }
        }
    }

    fn see(&mut self, part: Part, content: Option<&Value>) -> Option<News> {
        let known = self.parts.get_mut(&part)?;
        let digest = content.map(digest);
        known.state = known.judge(content, digest.as_deref());
        let last = std::mem::replace(&mut known.last, digest.clone().map_or(Last::Absent, Last::Stored));
        let is_first = last == Last::Nothing;
        let changed = !is_first && last != known.last;
        let state = known.state.clone();
        (changed || is_first && state != State::Intact).then_some(News { part, state, digest, changed })
    }
}

impl Known {
    fn judge(&self, content: Option<&Value>, digest: Option<&str>) -> State {
        match (&self.exception, content) {
            (Some(Exception::Any), _) | (Some(Exception::Absent), None) => State::Intact,
            (Some(Exception::Digest(expected)), Some(_)) if Some(expected.as_str()) == digest => State::Intact,
            (_, None) => State::Missing,
            (_, Some(content)) => match differences(&self.shipped, content) {
                none if none.is_empty() => State::Intact,
                some => State::Differs(some),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part() -> Part {
        Part { kind: Kind::ValidatingAdmissionPolicyBinding, name: "guard".to_owned() }
    }

    fn knowledge(exception: Option<Exception>) -> Knowledge {
        let exceptions = exception.map(|exception| (part(), exception)).into_iter().collect();
        Knowledge::new([(part(), json!({"spec": {"policyName": "guard"}}))].into(), exceptions)
    }

    fn stored(policy: &str) -> Sight {
        Sight::Stored(part(), json!({"metadata": {"generation": 1}, "spec": {"policyName": policy}}))
    }

    fn told(knowledge: &mut Knowledge, sight: Sight) -> Option<(State, bool)> {
        knowledge.take(sight).pop().map(|news| (news.state, news.changed))
    }

    fn differs() -> State {
        State::Differs(vec!["spec.policyName".to_owned()])
    }

    #[test]
    fn what_is_as_it_is_shipped_is_no_news_however_often_it_is_seen() {
        let mut knowledge = knowledge(None);
        assert_eq!(told(&mut knowledge, stored("guard")), None);
        assert_eq!(told(&mut knowledge, stored("guard")), None);
        assert_eq!(knowledge.states().collect::<Vec<_>>(), [(&part(), &State::Intact)]);
    }

    #[test]
    fn what_is_away_for_a_moment_is_told_twice() {
        let mut knowledge = knowledge(None);
        knowledge.take(stored("guard"));
        assert_eq!(told(&mut knowledge, Sight::Gone(part())), Some((State::Missing, true)));
        assert_eq!(told(&mut knowledge, Sight::Gone(part())), None);
        assert_eq!(told(&mut knowledge, stored("guard")), Some((State::Intact, true)));
    }

    #[test]
    fn what_differs_at_first_sight_is_told_once() {
        let mut knowledge = knowledge(None);
        assert_eq!(told(&mut knowledge, stored("other")), Some((differs(), false)));
        assert_eq!(told(&mut knowledge, stored("other")), None);
        assert_eq!(told(&mut knowledge, stored("another")), Some((differs(), true)));
    }

    #[test]
    fn what_changed_while_nobody_looked_is_told_when_it_is_seen() {
        let mut knowledge = knowledge(None);
        knowledge.take(stored("guard"));
        assert_eq!(told(&mut knowledge, Sight::Unseen(part().kind)), None);
        assert_eq!(knowledge.states().collect::<Vec<_>>(), [(&part(), &State::Unknown)]);
        assert_eq!(told(&mut knowledge, stored("other")), Some((differs(), true)));
        knowledge.take(Sight::Unseen(part().kind));
        assert_eq!(told(&mut knowledge, stored("other")), None);
        assert_eq!(knowledge.states().collect::<Vec<_>>(), [(&part(), &differs())]);
    }

    #[test]
    fn an_exception_holds_for_what_it_says_and_changes_are_told_all_the_same() {
        let mut absent = knowledge(Some(Exception::Absent));
        assert_eq!(told(&mut absent, Sight::Gone(part())), None);
        assert_eq!(told(&mut absent, stored("other")), Some((differs(), true)));

        let digest = digest(&json!({"spec": {"policyName": "other"}}));
        let mut other = knowledge(Some(Exception::Digest(digest)));
        assert_eq!(told(&mut other, stored("other")), None);
        assert_eq!(told(&mut other, stored("another")), Some((differs(), true)));
        assert_eq!(told(&mut other, Sight::Gone(part())), Some((State::Missing, true)));

        let mut any = knowledge(Some(Exception::Any));
        assert_eq!(told(&mut any, stored("other")), None);
        assert_eq!(told(&mut any, stored("another")), Some((State::Intact, true)));
        assert_eq!(told(&mut any, Sight::Gone(part())), Some((State::Intact, true)));
    }

    #[test]
    fn what_is_no_part_is_no_news() {
        let mut knowledge = knowledge(None);
        let other = Part { name: "other".to_owned(), ..part() };
        assert_eq!(knowledge.take(Sight::Stored(other, json!({}))), []);
    }
}
