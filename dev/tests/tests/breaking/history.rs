//! A history of hundreds of attempts on replicas that are killed and whose API server fails, and
//! what must be true of it whatever happened. `KRA_SEED` repeats the faults of another run,
//! `KRA_HISTORY_SECONDS` says how long.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use crate::fleet::{Fleet, Somebody, fleet};
use kra_tests::{scene::Scene, world::within};

/// So many requests are being made and used at once.
const AT_ONCE: usize = 6;
/// How long timed requests are for.
const VALID: Duration = Duration::from_secs(4);

/// What becomes of a request while it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    None,
    GrantDeleted,
    RequestDeleted,
    Denied,
}

/// A request, and what happened to it.
#[derive(Debug, Clone)]
struct Story {
    name: String,
    single: bool,
    /// Before this nothing may be allowed.
    granting: Option<Instant>,
    /// What begins after this may not be allowed.
    over: Option<Instant>,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Clone)]
struct Attempt {
    audit_id: String,
    hers: bool,
    began: Instant,
    ended: Instant,
    code: u16,
    said: String,
}

impl Attempt {
    /// The API server has upgraded the connection.
    fn is_allowed(&self) -> bool {
        self.code == 101
    }
}

/// Everybody who acts.
struct Cast {
    fleet: &'static Fleet,
    scene: Scene,
    users: Vec<Somebody>,
    amy: Somebody,
    root: Somebody,
    mallory: Somebody,
    number: AtomicU64,
}

impl Cast {
    fn new(fleet: &'static Fleet) -> Self {
        let scene = Scene::new(fleet.world);
        let somebody = |name: &str, group: &str| {
            fleet.somebody(&format!("{name}-{}", scene.namespace), &[group])
        };
        let users = ["jane", "bob", "eve", "kim"]
            .map(|name| somebody(name, "devs"))
            .to_vec();
        let (amy, mallory) = (somebody("amy", "approvers"), somebody("mallory", "devs"));
        let root = somebody("root", "system:masters");
        Self {
            fleet,
            scene,
            users,
            amy,
            root,
            mallory,
            number: AtomicU64::new(0),
        }
    }

    fn path(&self, kind: &str, name: &str) -> String {
        format!(
            "/apis/spreadgroup.com/v1/namespaces/{}/{kind}/{name}",
            self.scene.namespace
        )
    }

    fn next(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// Creates an object, as often as it takes; returns it as stored.
    async fn create(&self, who: &Somebody, kind: &str, object: &Value) -> Value {
        let name = object["metadata"]["name"].as_str().unwrap();
        for _ in 0..200 {
            let answer = who
                .send(
                    "POST",
                    self.path(kind, "").trim_end_matches('/'),
                    &[],
                    object,
                )
                .await;
            if answer.code == 201 {
                return answer.body;
            }
            let stored = self
                .root
                .send("GET", &self.path(kind, name), &[], &Value::Null)
                .await;
            if stored.code == 200 {
                return stored.body;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("cannot create {name}");
    }

    async fn ask(&self, user: &Somebody, name: &str, single: bool) -> Value {
        let mut request = json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "metadata": {"name": name},
            "spec": {
                "forObject": {"resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "exec", "name": "box"},
                "execOptions": {"container": "main", "stdout": true, "stderr": true, "command": ["echo", name]},
            },
        });
        if !single {
            request["spec"]["validFor"] = json!(format!("{}s", VALID.as_secs()));
        }
        self.create(user, "accessrequests", &request).await
    }

    async fn answer(&self, request: &Value, grant: &str, status: &str) {
        let grant = json!({
            "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant", "metadata": {"name": grant},
            "spec": {"grantFor": request["metadata"]["name"], "requestUID": request["metadata"]["uid"]}, "status": status,
        });
        self.create(&self.amy, "accessgrants", &grant).await;
    }

    async fn delete(&self, kind: &str, name: &str) {
        for _ in 0..200 {
            if matches!(
                self.root
                    .send("DELETE", &self.path(kind, name), &[], &Value::Null)
                    .await
                    .code,
                200 | 404
            ) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("cannot delete {name}");
    }

    async fn attempt(&self, who: &Somebody, hers: bool, name: &str, wait: Duration) -> Attempt {
        sleep(wait).await;
        let audit_id = format!("{name}-{}", self.next());
        let began = Instant::now();
        let answer = who.exec(&self.scene, &["echo", name], &audit_id).await;
        let said = answer.body["message"]
            .as_str()
            .map_or_else(|| answer.body.to_string(), str::to_owned);
        Attempt {
            audit_id,
            hers,
            began,
            ended: Instant::now(),
            code: answer.code,
            said,
        }
    }
}

/// One request from its beginning to its end: attempts before it is granted, many while it is, some
/// afterwards.
async fn live(
    cast: &Cast,
    user: &Somebody,
    single: bool,
    ending: Ending,
    random: &mut fastrand::Rng,
) -> Story {
    let name = format!("{}-{}", if single { "once" } else { "timed" }, cast.next());
    let request = cast.ask(user, &name, single).await;
    let mut attempts = vec![cast.attempt(user, true, &name, Duration::ZERO).await];
    let granting = Instant::now();
    cast.answer(&request, &format!("g-{name}"), "granted").await;
    let granted = Instant::now();
    let spread = if single { 1500 } else { 6500 };
    let mut waits = || Duration::from_millis(random.u64(0..spread));
    let tries = (0..14)
        .map(|_| cast.attempt(user, true, &name, waits()))
        .collect::<Vec<_>>();
    let others = (0..2)
        .map(|_| cast.attempt(&cast.mallory, false, &name, waits()))
        .collect::<Vec<_>>();
    let revoking = async {
        sleep(Duration::from_millis(900)).await;
        end(cast, &request, &name, ending).await
    };
    let (own, foreign, revoked) = tokio::join!(
        futures::future::join_all(tries),
        futures::future::join_all(others),
        revoking
    );
    attempts.extend(own);
    attempts.extend(foreign);
    if revoked.is_some() || !single {
        for _ in 0..3 {
            attempts.push(
                cast.attempt(user, true, &name, Duration::from_millis(200))
                    .await,
            );
        }
    }
    let ends = if single {
        None
    } else {
        granted.checked_add(VALID)
    };
    let over = [revoked, ends].into_iter().flatten().min();
    Story {
        name,
        single,
        granting: Some(granting),
        over,
        attempts,
    }
}

/// Ends a request before its time; returns when that was done.
async fn end(cast: &Cast, request: &Value, name: &str, ending: Ending) -> Option<Instant> {
    match ending {
        Ending::None => return None,
        Ending::GrantDeleted => cast.delete("accessgrants", &format!("g-{name}")).await,
        Ending::RequestDeleted => cast.delete("accessrequests", name).await,
        Ending::Denied => {
            cast.answer(request, &format!("d-{name}"), "denied").await;
            // It counts once a controller has copied it: their watches may stall for a while.
            for _ in 0..600 {
                let stored = cast
                    .root
                    .send("GET", &cast.path("accessrequests", name), &[], &Value::Null)
                    .await;
                if stored.body["status"]["denied"].is_object() {
                    return Some(Instant::now());
                }
                sleep(Duration::from_millis(100)).await;
            }
            panic!("the denial of {name} never reached its status");
        }
    }
    Some(Instant::now())
}

/// What is to be reported.
#[derive(Debug, Default)]
struct Figures {
    requests: usize,
    attempts: usize,
    allowed: usize,
    denied: usize,
    failed: usize,
    uses: usize,
    lost: usize,
    called_lost: usize,
}

impl Figures {
    fn text(&self, title: &str, fleet: &Fleet, took: Duration) -> String {
        let mut text = format!(
            "{title}: {} requests, {} attempts in {} s: {} allowed, {} denied, {} failed; {} single uses, of which {} ran \
             nothing ({} called lost); {} kills; seed {}",
            self.requests,
            self.attempts,
            took.as_secs(),
            self.allowed,
            self.denied,
            self.failed,
            self.uses,
            self.lost,
            self.called_lost,
            fleet.kills.load(Ordering::Relaxed),
            fleet.seed,
        );
        for (name, count) in fleet.faults.injected() {
            write!(text, "; {count} {name}").unwrap();
        }
        text
    }
}

/// What must be true of every history.
fn check(cast: &Cast, stories: &[Story]) -> Figures {
    let stored = cast
        .scene
        .admin(["get", "acr", "-n", &cast.scene.namespace, "-o", "json"]);
    let stored: Value = serde_json::from_str(&stored.text).unwrap();
    let stored: HashMap<&str, &Value> = stored["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["metadata"]["name"].as_str().unwrap(), one))
        .collect();
    let granted = granted_reviews(&cast.fleet.logged());
    let reviews = reviews(&cast.fleet.audit_log());
    let mut figures = Figures {
        requests: stories.len(),
        ..Figures::default()
    };
    for story in stories {
        let seed = cast.fleet.seed;
        let uses = stored
            .get(story.name.as_str())
            .and_then(|one| one["status"]["uses"].as_array().cloned());
        let allowed: Vec<&Attempt> = story
            .attempts
            .iter()
            .filter(|attempt| attempt.is_allowed())
            .collect();
        for attempt in &allowed {
            let early = story
                .granting
                .is_none_or(|granting| attempt.ended < granting);
            let late = story.over.is_some_and(|over| attempt.began > over);
            assert!(
                attempt.hers && !early && !late,
                "allowed, and should not be (seed {seed}): {attempt:#?}\n{story:#?}"
            );
            let review = reviews
                .get(&attempt.audit_id)
                .unwrap_or_else(|| panic!("no record of {attempt:#?}"));
            assert!(
                granted.contains(review),
                "no replica logged review {review} (seed {seed}): {attempt:#?}"
            );
            if let Some(uses) = uses.as_ref().filter(|_| story.single) {
                assert!(
                    uses.iter().any(|one| one["reviewUID"] == **review),
                    "not written (seed {seed}): {attempt:#?}"
                );
            }
        }
        if story.single {
            assert!(
                allowed.len() <= 1,
                "used more than once (seed {seed}): {story:#?}"
            );
        }
        let uses = uses.unwrap_or_default();
        assert!(
            uses.len() <= usize::from(story.single),
            "too many uses (seed {seed}): {uses:#?}"
        );
        figures.count(story, &allowed, &uses);
    }
    tell_failures(stories);
    figures
}

impl Figures {
    fn count(&mut self, story: &Story, allowed: &[&Attempt], uses: &[Value]) {
        let with = |code: fn(u16) -> bool| {
            story
                .attempts
                .iter()
                .filter(|attempt| code(attempt.code))
                .count()
        };
        let (denied, failed) = (
            with(|code| code == 403),
            with(|code| code != 403 && code != 101),
        );
        let lost = if allowed.is_empty() { uses.len() } else { 0 };
        let called_lost = uses.iter().filter(|one| one["outcome"] == "Lost").count();
        let sums = [
            (&mut self.attempts, story.attempts.len()),
            (&mut self.allowed, allowed.len()),
            (&mut self.denied, denied),
            (&mut self.failed, failed),
            (&mut self.uses, uses.len()),
            (&mut self.lost, lost),
            (&mut self.called_lost, called_lost),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Of what was neither allowed nor denied the words, each once: to see what happens.
fn tell_failures(stories: &[Story]) {
    let mut said = BTreeMap::<(u16, &str), usize>::new();
    let failed = stories
        .iter()
        .flat_map(|story| &story.attempts)
        .filter(|one| one.code != 101 && one.code != 403);
    for one in failed {
        let text = one.said.split(['"', '(']).next().unwrap_or_default();
        let count = said.entry((one.code, text)).or_default();
        *count = count.saturating_add(1);
    }
    for ((code, text), count) in said {
        report(&format!("  {count} times {code} {text}"));
    }
}

/// The reviews that a replica says it let through, by uid.
fn granted_reviews(log: &str) -> HashSet<String> {
    let lines = log
        .lines()
        .filter(|line| line.contains("\"decision\":\"granted\""));
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| Some(line["uid"].as_str()?.to_owned()))
        .collect()
}

/// The review of each attempt, by the API server's own record.
fn reviews(log: &str) -> HashMap<String, String> {
    let lines = log.lines().filter(|line| line.contains("/exec?"));
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let pairs = events.filter_map(|event| {
        let annotations = event["annotations"].as_object()?;
        let uid = annotations
            .iter()
            .find(|(name, _)| name.ends_with("/review-uid"))?
            .1
            .as_str()?
            .to_owned();
        Some((event["auditID"].as_str()?.to_owned(), uid))
    });
    pairs.collect()
}

fn report(line: &str) {
    // Past the test's capture: these are the figures that one looks for.
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

fn is_long() -> bool {
    std::env::var_os("KRA_ALL").is_some()
}

/// Many requests, lived through until then.
async fn live_on(cast: Arc<Cast>, until: Instant) -> Vec<Story> {
    let mut random = fastrand::Rng::with_seed(cast.fleet.seed);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut stories = JoinSet::new();
    let mut done = Vec::new();
    while Instant::now() < until {
        let place = Arc::clone(&room).acquire_owned().await.unwrap();
        let (cast, mut own) = (Arc::clone(&cast), random.fork());
        let number = stories.len();
        stories.spawn(async move {
            let _place = place;
            let user = cast.users[number.checked_rem(cast.users.len()).unwrap()].clone();
            let ending = [
                Ending::None,
                Ending::GrantDeleted,
                Ending::RequestDeleted,
                Ending::Denied,
            ][own.usize(0..4)];
            let single = own.bool();
            // What is used in the first moment cannot be ended before it.
            live(
                &cast,
                &user,
                single,
                if single { Ending::None } else { ending },
                &mut own,
            )
            .await
        });
        while let Some(story) = stories.try_join_next() {
            done.push(story.unwrap());
        }
    }
    done.extend(stories.join_all().await);
    done
}

// E3, E4, I3, R3
#[test]
fn whatever_fails_and_whoever_dies_nothing_is_allowed_twice_or_too_late_or_unrecorded() {
    let (fleet, _turn) = fleet();
    let cast = Arc::new(Cast::new(fleet));
    let seconds = std::env::var("KRA_HISTORY_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let seconds = Duration::from_secs(seconds.unwrap_or(if is_long() { 600 } else { 45 }));
    report(&format!(
        "a history of {} s begins; repeat it with KRA_SEED={}",
        seconds.as_secs(),
        fleet.seed
    ));
    let began = Instant::now();
    let until = began.checked_add(seconds).unwrap();
    fleet.faults.switch(true);
    let stories = std::thread::scope(|threads| {
        let plague = threads.spawn(|| fleet.plague(until));
        let stories = fleet.runtime.block_on(live_on(Arc::clone(&cast), until));
        plague.join().unwrap();
        stories
    });
    fleet.heal();
    within(
        Duration::from_mins(2),
        "every use is answered or lost",
        || all_have_outcomes(&cast),
    );
    let figures = check(&cast, &stories);
    report(&figures.text("history", fleet, began.elapsed()));
    assert!(
        figures.allowed > 0 && figures.denied > 0,
        "a history in which nothing happens says nothing: {figures:?}"
    );
}

fn all_have_outcomes(cast: &Cast) -> bool {
    let path = "jsonpath={range .items[*].status.uses[*]}{.outcome}{\"\\n\"}{end}";
    let said = cast
        .scene
        .admin(["get", "acr", "-n", &cast.scene.namespace, "-o", path]);
    said.success && said.text.lines().all(|line| !line.is_empty())
}

/// Fifty attempts at once, so many times; returns what came of them.
fn rounds(fleet: &'static Fleet, rounds: usize, title: &str) -> Figures {
    let cast = Arc::new(Cast::new(fleet));
    let began = Instant::now();
    let mut stories = Vec::new();
    for round in 0..rounds {
        let user = &cast.users[round.checked_rem(cast.users.len()).unwrap()];
        let name = format!("round-{round}");
        let story = async {
            let request = cast.ask(user, &name, true).await;
            let granting = Instant::now();
            cast.answer(&request, &format!("g-{name}"), "granted").await;
            let tries = (0..50).map(|_| cast.attempt(user, true, &name, Duration::ZERO));
            let attempts = futures::future::join_all(tries).await;
            let (name, granting) = (name.clone(), Some(granting));
            Story {
                name,
                single: true,
                granting,
                over: None,
                attempts,
            }
        };
        stories.push(fleet.runtime.block_on(story));
    }
    let figures = check(&cast, &stories);
    report(&figures.text(title, fleet, began.elapsed()));
    figures
}

// E1
#[test]
fn of_fifty_attempts_at_once_on_three_replicas_exactly_one_gets_in() {
    let (fleet, _turn) = fleet();
    let number = if is_long() { 100 } else { 5 };
    let figures = rounds(fleet, number, "fifty at once");
    assert_eq!(
        (figures.allowed, figures.uses),
        (number, number),
        "{figures:?}"
    );
}

// E3
#[test]
fn of_fifty_attempts_at_once_while_the_api_server_fails_at_most_one_gets_in() {
    let (fleet, _turn) = fleet();
    fleet.faults.switch(true);
    let figures = rounds(
        fleet,
        if is_long() { 100 } else { 5 },
        "fifty at once, with faults",
    );
    fleet.faults.switch(false);
    assert!(figures.allowed <= figures.uses, "{figures:?}");
}
