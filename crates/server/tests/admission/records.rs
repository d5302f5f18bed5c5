//! The log under attack: lines are bounded, whole, and counted where there are too many.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use rstest::rstest;
use serde_json::{Value, json};
use server::audit::{AuditFile, Extensions, file, lines::Lines};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    objects::{deleting, file, filing, granting, stamp},
    policies::policy,
    world::{POD, Settings, World, grant, listen_to_every_line, pod, request},
};

/// What is logged on this thread meanwhile.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is logged on this thread from here on.
fn begin(to: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) -> DefaultGuard {
    listen_to_every_line();
    tracing::subscriber::set_default(
        tracing_subscriber::fmt()
            .event_format(Lines)
            .with_writer(to)
            .finish(),
    )
}

impl Log {
    pub(crate) fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let to = log.clone();
        (log, begin(move || to.clone()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The audit lines: all lines are whole JSON.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "audit").collect()
    }
}

fn masters(review: &mut Value) {
    review["userInfo"]["groups"] = json!(["system:masters"]);
}

// M5
#[tokio::test]
async fn who_filed_who_answered_and_who_approved_stands_in_the_log() {
    let (log, _guard) = Log::begin();
    let world = World::new(Settings {
        sealed: true,
        ..Settings::default()
    });
    let filed = stamp(&world, &filing()).await.unwrap();
    assert!(world.post("/validate", filed.to_string()).await.allowed());
    world.put_request(&request());
    let mut review = granting("amy");
    review["request"]["object"]["spec"]["validFor"] = json!("1h");
    let granted = stamp(&world, &review).await.unwrap();
    assert!(world.post("/validate", granted.to_string()).await.allowed());
    let mut stored = granted["request"]["object"].clone();
    stored["metadata"] = grant("granted")["metadata"].clone();
    world.put_grant(&stored);
    assert!(world.exec("r1", |_| {}).await.allowed());

    let lines = log.audit();
    let [filing, answer, attempt] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(
        (&filing["message"], &filing["user"], &filing["requester"]),
        (&json!("request admitted"), &json!("jane"), &json!("jane"))
    );
    assert!(filing["object"].as_str().unwrap().contains("execOptions"));
    assert_eq!(answer["message"], "answer admitted");
    let said = [
        "user",
        "request",
        "request_uid",
        "requester",
        "answer",
        "valid_for",
    ]
    .map(|field| &answer[field]);
    assert_eq!(
        said,
        [
            &json!("amy"),
            &json!("ask"),
            &request()["metadata"]["uid"],
            &json!("jane"),
            &json!("granted"),
            &json!("1h")
        ]
    );
    assert_eq!(
        (&attempt["request"], &attempt["approvers"]),
        (&json!("ask"), &json!(r#"["amy"]"#))
    );
}

// M5
#[tokio::test]
async fn dry_runs_of_filings_and_answers_are_no_lines_and_filings_without_end_are_counted() {
    let (log, _guard) = Log::begin();
    let world = World::new(Settings::default());
    let mut review = stamp(&world, &filing()).await.unwrap();
    review["request"]["dryRun"] = json!(true);
    assert!(world.post("/validate", review.to_string()).await.allowed());
    assert_eq!(log.audit(), [json!(null); 0]);
    for number in 0..100 {
        let namespace = format!("team-{number}");
        let mut pod = pod("pod-1");
        pod["metadata"]["namespace"] = json!(namespace);
        world.api.store(&POD.replace("default", &namespace), &pod);
        let mut review = filing();
        review["request"]["namespace"] = json!(namespace);
        review["request"]["object"]["metadata"]["namespace"] = json!(namespace);
        review["request"]["object"]["spec"]["forObject"]["namespace"] = json!(namespace);
        let filed = file(&world, &review).await;
        assert!(filed.allowed(), "{}", filed.body);
    }
    let filed = log
        .audit()
        .iter()
        .filter(|line| line["message"] == "request admitted")
        .count();
    assert_eq!(
        filed, 59,
        "of 60, since the dry run has a line of the log too"
    );
}

// K5
#[tokio::test]
async fn a_flood_of_padded_attempts_leaves_the_line_about_what_was_allowed() {
    let (log, _guard) = Log::begin();
    let world = World::granted();
    assert!(world.exec("allowed-1", |_| {}).await.allowed());
    for number in 0..300 {
        let padding = "\u{1}".repeat(30_000);
        let said = world
            .exec(&format!("r{number}"), |review| {
                review["object"]["command"] = json!(["date", padding]);
            })
            .await;
        said.denial();
    }
    let text = log.text();
    assert!(text.len() < 60 * 2048 + 4096, "{} bytes", text.len());
    assert!(text.lines().all(|line| line.len() < 8192));
    let lines = log.audit();
    assert_eq!(
        (&lines[0]["uid"], &lines[0]["decision"]),
        (&json!("allowed-1"), &json!("granted"))
    );
    let denied = &lines[1];
    assert_eq!(denied["decision"], "denied-unclear");
    assert!(denied["options_bytes"].as_u64().unwrap() > 180_000);
    assert_eq!(denied["options_sha256"].as_str().unwrap().len(), 64);
}

// K5
#[tokio::test]
async fn requests_that_are_filed_and_withdrawn_without_end_are_counted_and_those_that_opened_something_are_all_written()
 {
    let (log, _guard) = Log::begin();
    let world = World::new(Settings::default());
    let mut withdrawn = request();
    withdrawn["spec"]["reason"] = json!("x".repeat(1000));
    let used = json!([{"reviewUID": "r", "at": "2026-11-23T15:00:00Z", "pod": "nginx", "podUID": "pod-1"}]);
    for number in 0..300 {
        withdrawn["metadata"]["uid"] = json!(number.to_string());
        withdrawn["status"] = if number < 200 {
            json!({})
        } else {
            json!({"uses": used})
        };
        let review = deleting("jane", &withdrawn, "accessrequests");
        assert!(world.post("/validate", review.to_string()).await.allowed());
    }
    let is_deletion = |line: &&Value| line["message"] == "deletion admitted";
    assert_eq!(log.audit().iter().filter(is_deletion).count(), 60 + 100);
    world.limits.tell(jiff::Timestamp::now());
    let lines = log.audit();
    let left_out = lines
        .iter()
        .find(|line| line["decision"] == "left-out")
        .unwrap();
    assert_eq!(
        (&left_out["user"], &left_out["kinds"]),
        (&json!("jane"), &json!("withdrawn=140"))
    );
}

// K5: nobody has read it, and the line about it would be cut.
#[tokio::test]
async fn a_padded_command_that_a_policy_granted_does_not_run_and_one_that_somebody_approved_does() {
    let world = World::new(Settings::default());
    let rules = json!({"subjects": [{"kind": "User", "name": "jane"}], "namespaces": ["default"], "subresources": ["exec"], "reason": {}});
    world.put_policy(&policy("Allow", rules));
    let command = json!(["sh", "-c", "x".repeat(4000), "x".repeat(4000)]);
    let mut padded = request();
    padded["spec"]["reason"] = json!("the shop is down");
    padded["spec"]["execOptions"]["command"] = command.clone();
    world.put_request(&padded);
    let tries =
        |uid: &'static str| world.exec(uid, |review| review["object"]["command"] = command.clone());
    assert!(
        tries("r1")
            .await
            .denial()
            .contains("too long to stand whole in the record")
    );
    world.put_grant(&grant("granted"));
    assert!(tries("r2").await.allowed());
}

// K5: a padded command does not run, whoever runs it.
#[rstest]
#[case("one argument", vec!["sh".to_owned(), "-c".to_owned(), "x".repeat(4097)])]
#[case("many arguments", vec!["x".to_owned(); 257])]
#[case("all together", vec!["x".repeat(4000); 9])]
#[case("more than stands in a line", vec!["sh".to_owned(), "-c".to_owned(), "\u{1}".repeat(1000)])]
#[case("a container's name", vec![])]
#[tokio::test]
async fn what_does_not_stand_whole_in_the_record_is_refused_to_the_always_allowed(
    #[case] what: &str,
    #[case] command: Vec<String>,
) {
    let (log, _guard) = Log::begin();
    let world = World::granted();
    let said = world.exec("r1", |review| {
        masters(review);
        if command.is_empty() {
            review["object"]["container"] = json!("c".repeat(5000));
        } else {
            review["object"]["command"] = json!(command);
        }
    });
    let said = said.await;
    assert!(
        said.denial().contains("so it is not allowed"),
        "{what}: {}",
        said.denial()
    );
    let lines = log.audit();
    assert_eq!(
        (lines.len(), &lines[0]["decision"]),
        (1, &json!("denied-unclear")),
        "{what}"
    );
}

// K5
#[tokio::test]
async fn what_the_always_allowed_run_stands_whole_in_the_record() {
    let (log, _guard) = Log::begin();
    let world = World::granted();
    let script = "x".repeat(4096);
    let said = world.exec("r1", |review| {
        masters(review);
        review["object"]["command"] = json!(["sh", "-c", script]);
    });
    assert!(said.await.allowed());
    assert_eq!(
        log.audit()[0]["command"],
        json!(["sh", "-c", script]).to_string()
    );
    assert!(log.audit()[0].get("command_sha256").is_none());
}

// K5
#[tokio::test]
async fn what_is_allowed_is_written_after_a_flood_of_denials_too() {
    let (log, _guard) = Log::begin();
    let world = World::granted();
    for number in 0..100 {
        world
            .exec(&format!("r{number}"), |review| {
                review["object"]["command"] = json!(["id"]);
            })
            .await
            .denial();
    }
    assert_eq!(log.audit().len(), 60);
    assert!(world.exec("allowed-1", |_| {}).await.allowed());
    let last = log.audit().pop().unwrap();
    assert_eq!(
        (&last["uid"], &last["decision"]),
        (&json!("allowed-1"), &json!("granted"))
    );
}

// K5
#[tokio::test]
async fn what_cannot_be_written_into_the_audits_own_file_is_denied_and_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, path) = (dir.path().join("in"), dir.path().join("in/audit.log"));
    std::fs::create_dir(&folder).unwrap();
    let file = Arc::new(AuditFile::open(&path).unwrap());
    let _guard = begin(file::FileLines(Arc::clone(&file)));
    let extensions = Extensions {
        file: Some(file),
        ..Extensions::default()
    };
    let world = World::granted_with(
        Settings {
            extensions,
            ..Settings::default()
        },
        |request| {
            request["spec"]["validFor"] = json!("1h");
        },
    );
    assert!(world.exec("r1", |_| {}).await.allowed());
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .contains("\"granted\"")
    );
    std::fs::remove_dir_all(&folder).unwrap();
    // The first one is decided before its line fails, the others are not even told of.
    for uid in ["r2", "r3"] {
        let said = world.exec(uid, |_| {}).await;
        assert!(
            said.denial().contains("the audit could not be written"),
            "{}",
            said.denial()
        );
        let said = world.exec(uid, masters).await;
        assert!(
            said.denial().contains("the audit could not be written"),
            "{}",
            said.denial()
        );
    }
    std::fs::create_dir(&folder).unwrap();
    assert!(world.exec("r4", |_| {}).await.allowed());
    assert!(std::fs::read_to_string(&path).unwrap().contains("r4"));
}

// K5
#[tokio::test]
async fn what_is_filed_for_one_users_attempts_leaves_out_no_line_of_anothers() {
    let (log, _guard) = Log::begin();
    let world = World::new(Settings {
        in_band_wait: true,
        ..Settings::default()
    });
    let own = json!({
        "username": "system:serviceaccount:kube-request-access:kube-request-access",
        "groups": ["system:authenticated"],
    });
    let filed = |user: &str, number: usize| {
        let mut review = filing();
        review["request"]["uid"] = json!(format!("{user}-{number}"));
        review["request"]["userInfo"] = own.clone();
        let object = &mut review["request"]["object"];
        object["metadata"]["uid"] = json!(format!("{user}-{number}"));
        object["spec"]["userInfo"] = json!({"username": user, "groups": ["devs"]});
        object["spec"]["createdBy"] = own.clone();
        object["spec"]["clusterName"] = json!("test");
        object["spec"]["forObject"]["uid"] = json!("pod-1");
        object["spec"]["execOptions"]["container"] = json!("nginx");
        review.to_string()
    };
    for person in 0..40 {
        for number in 0..2 {
            let review = filed(&format!("person-{person}"), number);
            let said = world.post("/validate", review).await;
            assert!(said.allowed(), "{}", said.body);
        }
    }
    assert!(world.post("/validate", filed("bob", 0)).await.allowed());
    let lines = log.audit();
    let is_bobs =
        |line: &&Value| line["message"] == "request admitted" && line["requester"] == "bob";
    assert_eq!(lines.iter().filter(is_bobs).count(), 1);
}
