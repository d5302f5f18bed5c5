use serde_json::{Value, json};

use api::convert;
use decide::access::Seal;

use super::{state::MAX_OVER_WHOLE, *};

fn request(name: &str, user: &str) -> AccessRequest {
    object(&json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {"name": name, "namespace": "a", "uid": format!("{name}-uid"), "creationTimestamp": "2026-11-23T15:00:00Z"},
        "spec": {
            "userInfo": {"username": user},
            "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "p"},
            "execOptions": {"command": ["date"]},
        },
    }))
}

fn grant(name: &str, grant_for: &str) -> AccessGrant {
    object(&json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": name, "namespace": "a", "uid": name, "creationTimestamp": "2026-11-23T15:00:00Z"},
        "spec": {"grantFor": grant_for}, "status": "granted",
    }))
}

fn object<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

// K14
#[test]
fn a_list_wakes_whoever_waits_once_and_not_for_each_of_its_objects() {
    let index = complete();
    let mut changes = index.changes();
    for event in [
        Event::Init,
        Event::InitApply(request("one", "jane")),
        Event::InitApply(request("two", "jane")),
    ] {
        assert!(!index.apply_request(event));
        assert!(!changes.has_changed().unwrap());
    }
    assert!(index.apply_request(Event::InitDone));
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    index.apply_grant(Event::Init);
    index.apply_grant(Event::InitApply(grant("g", "one")));
    assert!(!changes.has_changed().unwrap());
    index.apply_grant(Event::InitDone);
    assert!(changes.has_changed().unwrap());
}

/// One that knows of no grant that it has not.
fn complete() -> Index {
    let index = Index::default();
    index.apply_grant(Event::Init);
    index.apply_grant(Event::InitDone);
    index
}

fn finished(index: &Index, by: Timestamp) -> Vec<String> {
    let due = index.finished(by, None, usize::MAX);
    due.iter().map(|due| due.key().name.to_string()).collect()
}

fn of(index: &Index, user: &str) -> Vec<(String, Vec<String>)> {
    let person = Person {
        name: user.to_owned(),
        uid: None,
    };
    let candidates = index.candidates("a", &person);
    candidates
        .into_iter()
        .map(|c| {
            (
                c.request.name.clone(),
                c.grants.iter().map(|g| g.name.clone()).collect(),
            )
        })
        .collect()
}

#[test]
fn a_grant_that_comes_before_its_request_is_found_with_it() {
    let index = complete();
    index.apply_grant(Event::Apply(grant("g", "ask")));
    assert!(of(&index, "jane").is_empty());
    index.apply_request(Event::Apply(request("ask", "jane")));
    assert_eq!(
        of(&index, "jane"),
        [("ask".to_owned(), vec!["g".to_owned()])]
    );
    assert!(of(&index, "bob").is_empty());
}

#[test]
fn what_is_deleted_is_gone() {
    let index = complete();
    index.apply_request(Event::Apply(request("ask", "jane")));
    index.apply_grant(Event::Apply(grant("g", "ask")));
    index.apply_grant(Event::Delete(grant("g", "ask")));
    assert_eq!(of(&index, "jane"), [("ask".to_owned(), vec![])]);
    index.apply_request(Event::Delete(request("ask", "jane")));
    assert!(of(&index, "jane").is_empty() && index.keys().is_empty());
}

/// One that was used, with this many seconds after the first.
fn used(number: usize) -> AccessRequest {
    let mut request = request(&format!("ask-{number:04}"), "jane");
    let at: Timestamp = "2026-11-23T15:00:00Z".parse().unwrap();
    let at = at
        .checked_add(jiff::SignedDuration::from_secs(
            i64::try_from(number).unwrap(),
        ))
        .unwrap();
    request.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    request.status = Some(object(&json!({
        "phase": "Used", "uses": [{"reviewUID": "r", "at": at.to_string(), "pod": "p", "podUID": "u", "container": "c"}],
    })));
    request
}

// K4
#[test]
fn of_what_is_over_the_newest_few_are_whole_and_the_others_are_what_clean_up_needs() {
    let index = complete();
    for number in 0..1000 {
        let mut answer = grant(&format!("grant-{number:04}"), &format!("ask-{number:04}"));
        answer.spec.request_uid = Some(format!("ask-{number:04}-uid"));
        index.apply_grant(Event::Apply(answer.clone()));
        index.apply_request(Event::Apply(used(number)));
        // Also where the grant is shown again after that.
        index.apply_grant(Event::Apply(answer));
    }
    let whole = of(&index, "jane");
    assert_eq!(whole.len(), MAX_OVER_WHOLE);
    assert_eq!(
        whole[0],
        ("ask-0980".to_owned(), vec!["grant-0980".to_owned()])
    );
    let size = convert::request(&used(0), Seal::Good).unwrap().size;
    let held = Held {
        requests: 1000,
        bytes: MAX_OVER_WHOLE * size,
        stored: 1000 * size,
    };
    assert_eq!(index.held("jane"), held);
    let counts = Counts {
        open: 0,
        finished: 1000,
        grants: MAX_OVER_WHOLE,
        left_out: 0,
    };
    assert_eq!(index.counts(), counts);
    let by = "2026-11-23T15:00:09Z".parse().unwrap();
    let due = finished(&index, by);
    assert_eq!(due.len(), 10, "{due:?}");
    assert_eq!((&*due[0], &*due[9]), ("ask-0000", "ask-0009"));
    let few = index.finished(by, None, 4);
    let next = index.finished(by, few.last(), 4);
    assert_eq!(&*next[0].key().name, "ask-0004");
    // What waits is whole, however much is over.
    index.apply_request(Event::Apply(request("new", "jane")));
    assert!(of(&index, "jane").iter().any(|(name, _)| name == "new"));
    for number in 0..1000 {
        index.apply_request(Event::Delete(used(number)));
    }
    index.apply_request(Event::Delete(request("new", "jane")));
    assert_eq!(
        (index.held("jane"), finished(&index, Timestamp::MAX)),
        (Held::default(), Vec::new())
    );
    assert!(index.read().people.is_empty());
}

// K4
#[test]
fn grants_of_the_originals_client_are_forgotten_with_their_requests_too() {
    let index = complete();
    let mut answer = grant("g", "ask-0000");
    answer.metadata.owner_references = object(&json!([
        {"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "name": "ask-0000", "uid": "ask-0000-uid"},
    ]));
    index.apply_grant(Event::Init);
    index.apply_grant(Event::InitApply(answer.clone()));
    for number in 0..=MAX_OVER_WHOLE {
        index.apply_request(Event::Apply(used(number)));
    }
    index.apply_grant(Event::InitDone);
    assert_eq!(index.counts().grants, 0);
    index.apply_grant(Event::Apply(answer));
    assert_eq!(index.counts().grants, 0);
}

#[test]
fn what_was_used_last_is_whole_however_long_ago_it_was_filed() {
    let index = complete();
    for number in 1..100 {
        index.apply_request(Event::Apply(used(number)));
    }
    let mut old = used(0);
    old.metadata.name = Some("filed-first".to_owned());
    old.status.as_mut().unwrap().uses[0].at.0 = "2026-11-24T15:00:00Z".parse().unwrap();
    index.apply_request(Event::Apply(old));
    assert!(
        of(&index, "jane")
            .iter()
            .any(|(name, _)| name == "filed-first"),
        "an attach may follow"
    );
}

#[test]
fn what_a_policy_forbids_or_cuts_short_comes_back_when_the_policy_goes() {
    for phase in ["Denied", "Expired"] {
        let index = complete();
        let mut lasting = request("lasting", "jane");
        lasting.spec.valid_for = Some("8h".to_owned());
        let mut answer = grant("g", "lasting");
        answer.spec.request_uid = Some("lasting-uid".to_owned());
        let in_phase = |phase: &str| {
            let mut request = lasting.clone();
            request.status = Some(object(&json!({"phase": phase, "grantedBy": ["amy"]})));
            Event::Apply(request)
        };
        index.apply_request(in_phase("Granted"));
        index.apply_grant(Event::Apply(answer.clone()));
        for number in 0..100 {
            index.apply_request(Event::Apply(used(number)));
        }
        index.apply_request(in_phase(phase));
        // A new list of grants meanwhile, too.
        index.apply_grant(Event::Init);
        index.apply_grant(Event::InitApply(answer.clone()));
        index.apply_grant(Event::InitDone);
        index.apply_request(in_phase("Granted"));
        let back = index.candidate(&Key::new("a", "lasting")).unwrap();
        // Its grants are in memory, or known to be missing there until grants are listed anew.
        let has_grant = back.grants.iter().any(|grant| grant.name == "g");
        assert_eq!(has_grant, back.has_all_grants, "{phase}");
        index.apply_grant(Event::Init);
        index.apply_grant(Event::InitApply(answer));
        index.apply_grant(Event::InitDone);
        let back = index.candidate(&Key::new("a", "lasting")).unwrap();
        assert!(back.has_all_grants && back.grants.len() == 1, "{phase}");
    }
}

#[test]
fn a_request_of_the_name_of_one_that_is_over_keeps_its_grants() {
    let index = complete();
    for number in 0..=MAX_OVER_WHOLE {
        index.apply_request(Event::Apply(used(number)));
    }
    assert_eq!(finished(&index, Timestamp::MAX).len(), 1);
    let mut answer = grant("g", "ask-0000");
    answer.spec.request_uid = Some("another".to_owned());
    index.apply_grant(Event::Apply(answer));
    index.apply_request(Event::Delete(used(0)));
    let mut again = request("ask-0000", "jane");
    again.metadata.uid = Some("another".to_owned());
    index.apply_request(Event::Apply(again));
    assert!(of(&index, "jane").contains(&("ask-0000".to_owned(), vec!["g".to_owned()])));
}

#[test]
fn an_emergency_that_nobody_reviewed_is_whole_however_old() {
    let index = complete();
    let mut emergency = used(0);
    let policy = json!({"name": "night", "uid": "p", "generation": 1});
    let mark = json!({"policy": policy, "since": "2026-11-23T15:00:00Z", "reviewBy": "2026-11-24T15:00:00Z"});
    emergency.status.as_mut().unwrap().emergency = Some(object(&mark));
    index.apply_request(Event::Apply(emergency));
    for number in 1..100 {
        index.apply_request(Event::Apply(used(number)));
    }
    assert_eq!(of(&index, "jane").len(), MAX_OVER_WHOLE + 1);
    assert_eq!(of(&index, "jane")[0].0, "ask-0000");
}

#[test]
fn what_a_new_list_does_not_show_is_there_until_the_list_is_complete() {
    let index = complete();
    for name in ["kept", "old"] {
        index.apply_request(Event::Apply(request(name, "jane")));
        index.apply_grant(Event::Apply(grant(&format!("g-{name}"), name)));
    }
    assert!(!index.apply_request(Event::Init));
    assert!(!index.apply_request(Event::InitApply(request("kept", "jane"))));
    assert_eq!(of(&index, "jane").len(), 2);
    assert!(index.apply_request(Event::InitDone));
    let kept = ("kept".to_owned(), vec!["g-kept".to_owned()]);
    assert_eq!(of(&index, "jane"), [kept]);
    index.apply_grant(Event::Init);
    assert_eq!(of(&index, "jane")[0].1, ["g-kept"]);
    index.apply_grant(Event::InitDone);
    assert_eq!(of(&index, "jane"), [("kept".to_owned(), vec![])]);
    assert_eq!(index.counts().grants, 0);
}

#[test]
fn a_list_that_breaks_off_takes_nothing_away() {
    let index = complete();
    for number in 0..100 {
        index.apply_request(Event::Apply(used(number)));
    }
    index.apply_request(Event::Init);
    index.apply_request(Event::InitApply(used(0)));
    index.apply_request(Event::Init);
    assert_eq!(index.held("jane").requests, 100);
    for number in 50..100 {
        index.apply_request(Event::InitApply(used(number)));
    }
    index.apply_request(Event::InitDone);
    assert_eq!(index.held("jane").requests, 50);
    let stored = 50 * convert::request(&used(0), Seal::Good).unwrap().size;
    assert_eq!(index.held("jane").stored, stored);
}

#[test]
fn before_grants_were_listed_no_request_is_said_to_have_them_all() {
    let index = Index::default();
    index.apply_request(Event::Apply(request("early", "jane")));
    index.apply_grant(Event::Init);
    index.apply_request(Event::Apply(request("meanwhile", "jane")));
    let has_all = |name: &str| {
        index
            .candidate(&Key::new("a", name))
            .unwrap()
            .has_all_grants
    };
    assert!(!has_all("early") && !has_all("meanwhile"));
    index.apply_grant(Event::InitApply(grant("g", "early")));
    index.apply_grant(Event::InitDone);
    index.apply_request(Event::Apply(request("late", "jane")));
    assert!(has_all("early") && has_all("meanwhile") && has_all("late"));
}

#[test]
fn controllers_look_at_what_changes_and_at_nothing_that_is_settled() {
    let index = complete();
    let mut touched = index.touched().unwrap();
    assert!(index.touched().is_none());
    let mut names = move || {
        std::iter::from_fn(|| touched.try_recv().ok())
            .map(|key| key.name.to_string())
            .collect::<Vec<_>>()
    };
    let mut told = used(1);
    told.status.as_mut().unwrap().uses[0].outcome = Some(api::objects::Outcome::Answered);
    index.apply_request(Event::Init);
    index.apply_request(Event::InitApply(request("open", "jane")));
    index.apply_request(Event::InitApply(told.clone()));
    index.apply_request(Event::InitApply(used(2)));
    index.apply_request(Event::InitDone);
    assert_eq!(
        names(),
        ["open", "ask-0002"],
        "an outcome is not written yet"
    );
    index.apply_request(Event::Apply(told));
    assert_eq!(names(), ["ask-0001"]);
    let answer = grant("g", "open");
    index.apply_grant(Event::Apply(answer.clone()));
    assert_eq!(names(), ["open"]);
    for shown in [true, false] {
        index.apply_grant(Event::Init);
        if shown {
            index.apply_grant(Event::InitApply(answer.clone()));
        }
        index.apply_grant(Event::InitDone);
        assert_eq!(names().len(), usize::from(!shown), "gone: {}", !shown);
    }
    index.apply_grant(Event::Delete(answer));
    assert_eq!(names(), ["open"]);
}

#[test]
fn a_change_of_policies_concerns_what_may_give_access_again() {
    let index = complete();
    let ended = |name: &str, valid_for: Option<&str>| {
        let mut ended = request(name, "jane");
        ended.spec.valid_for = valid_for.map(str::to_owned);
        ended.status = Some(object(&json!({
            "phase": "Expired", "grantedBy": ["amy"], "expiresAt": "2026-11-23T16:00:00Z",
        })));
        index.apply_request(Event::Apply(ended));
    };
    ended("an-hour", Some("1h"));
    ended("eight-hours", Some("8h"));
    ended("once", None);
    // All of them are older than what is remembered whole.
    for number in 1..=MAX_OVER_WHOLE {
        index.apply_request(Event::Apply(used(number)));
    }
    let concerned = |now: &str| {
        let keys = index.keys_under_policies(now.parse().unwrap());
        let mut names: Vec<String> = keys.iter().map(|key| key.name.to_string()).collect();
        names.retain(|name| !name.starts_with("ask"));
        names.sort();
        names
    };
    assert_eq!(
        finished(&index, Timestamp::MAX),
        ["once", "an-hour", "eight-hours"]
    );
    assert_eq!(
        concerned("2026-11-23T16:30:00Z"),
        ["an-hour", "eight-hours", "once"]
    );
    assert_eq!(concerned("2026-11-23T17:30:00Z"), ["eight-hours", "once"]);
}

#[test]
fn more_than_there_is_room_for_is_left_out_and_listed_once_there_is_room() {
    let index = Index::with_room(100);
    let list = |from: usize| {
        index.apply_request(Event::Init);
        for number in from..1000 {
            index.apply_request(Event::InitApply(used(number)));
        }
        index.apply_request(Event::InitDone);
    };
    list(0);
    let left_out = 1000 - 100 - MAX_OVER_WHOLE;
    let counts = index.counts();
    assert_eq!(
        (counts.finished, counts.left_out),
        (100 + MAX_OVER_WHOLE, left_out)
    );
    assert_eq!(index.held("jane").requests, 1000, "they count all the same");
    // What clean-up takes first is there, and what is newest, for denials.
    assert_eq!(finished(&index, Timestamp::MAX)[0], "ask-0000");
    assert!(index.candidate(&Key::new("a", "ask-0999")).is_some());
    assert!(!index.has_room_for_left_out());
    for number in 0..51 {
        index.apply_request(Event::Delete(used(number)));
    }
    assert!(index.has_room_for_left_out());
    index.apply_request(Event::Delete(used(500)));
    assert_eq!(index.held("jane").requests, 1000 - 52);
    index.apply_request(Event::Apply(used(500)));
    list(51);
    assert_eq!(index.held("jane").requests, 1000 - 51);
    assert_eq!(index.counts().finished, 100 + MAX_OVER_WHOLE);
    assert_eq!(index.counts().left_out, left_out - 51);
    assert_eq!(finished(&index, Timestamp::MAX)[0], "ask-0051");
    // An open one is never left out, and what it has of grants comes with it.
    index.apply_request(Event::Apply(request("open", "tom")));
    assert_eq!(index.counts().open, 1);
}

#[test]
fn what_is_being_deleted_is_open_to_its_user_and_in_all_alike() {
    let index = complete();
    let mut going = request("going", "jane");
    going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
    index.apply_request(Event::Apply(going));
    index.apply_request(Event::Apply(used(1)));
    assert_eq!((index.counts().open, index.open_of("jane").len()), (1, 1));
}

#[test]
fn grants_of_requests_that_were_left_out_take_no_more_room_than_this() {
    let index = Index::with_room(1);
    index.apply_grant(Event::Init);
    for number in 0..10_100 {
        index.apply_grant(Event::InitApply(grant(&format!("g-{number}"), "left-out")));
    }
    index.apply_grant(Event::InitDone);
    assert_eq!(index.counts().grants, 10_000);
    let mut back = request("left-out", "jane");
    back.status = Some(object(&json!({"phase": "Granted"})));
    index.apply_request(Event::Apply(back));
    index.apply_request(Event::Apply(request("new", "jane")));
    let has_all = |name| {
        index
            .candidate(&Key::new("a", name))
            .unwrap()
            .has_all_grants
    };
    assert!(!has_all("left-out"), "they are read");
    assert!(has_all("new"), "no server has looked at it yet");
}

#[test]
fn of_what_is_over_only_some_are_whole_however_many_people_there_are() {
    let index = complete();
    for number in 0..5_000_usize {
        let mut one = used(number);
        one.spec.user_info.as_mut().unwrap().username = Some(format!("person-{}", number / 2));
        index.apply_request(Event::Apply(one));
    }
    assert_eq!(index.keys().len(), 4_000);
    assert_eq!(index.counts().finished, 5_000);
    assert!(index.candidate(&Key::new("a", "ask-0999")).is_none());
    assert!(index.candidate(&Key::new("a", "ask-1000")).is_some());
    assert_eq!(index.held("person-0").requests, 2);
}

#[test]
fn what_cannot_be_understood_is_nobodys_and_stops_nobody() {
    let index = complete();
    index.apply_request(Event::Apply(request("ask", "jane")));
    let mut poison = request("poison", "jane");
    poison.spec.for_object.resource.resource = "services".to_owned();
    index.apply_request(Event::Apply(poison));
    assert_eq!(of(&index, "jane").len(), 1);
    let mut worse = request("ask", "jane");
    worse.spec.valid_for = Some("for ever".to_owned());
    index.apply_request(Event::Apply(worse));
    assert!(
        of(&index, "jane").is_empty(),
        "it was valid once, and is not any more"
    );
}

#[test]
fn a_request_that_cannot_be_decoded_takes_no_grant_of_that_name_with_it() {
    let index = complete();
    index.apply_request(Event::Apply(request("same", "jane")));
    index.apply_grant(Event::Apply(grant("same", "same")));
    index.forget_grant(&Key::new("a", "same"));
    assert_eq!(of(&index, "jane"), [("same".to_owned(), vec![])]);
    index.forget_request(&Key::new("a", "same"));
    assert!(of(&index, "jane").is_empty());
}
