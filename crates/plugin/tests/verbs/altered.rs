//! What another admission webhook or policy made of what was sent is found out, deleted, and said.
//! // K3

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, GRANTS, REQUESTS};

const MINE: &str = "access-exec-jane-x4k2z";

fn request() -> Value {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest",
        "metadata": {
            "name": "a", "namespace": "default", "uid": "uid-of-a", "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "userInfo": {"username": "jane"},
            "forObject": {
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "subResource": "exec", "name": "nginx", "namespace": "default",
            },
            "validFor": "1h", "execOptions": {"container": "nginx", "command": ["date"]},
        },
    })
}

fn asked() -> Fake {
    Fake::new()
        .with(&format!("{REQUESTS}/a"), request())
        .known_as("amy")
}

fn pod() -> Fake {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nginx", "namespace": "default"},
        "spec": {"containers": [{"name": "nginx", "image": "nginx"}]},
    });
    Fake::new().with("/api/v1/namespaces/default/pods/nginx", pod)
}

/// What the server itself writes.
fn stamp(object: &mut Value) {
    if object["kind"] == "AccessGrant" {
        object["spec"]["grantedBy"] = json!({"username": "amy", "groups": ["approvers"]});
        object["spec"]["seal"] = json!({"at": "2026-01-01T01:00:00Z", "mac": "00"});
    } else {
        object["spec"]["userInfo"] = json!({"username": "jane", "groups": ["developers"]});
        object["spec"]["createdBy"] = json!({"username": "jane", "groups": ["developers"]});
        object["spec"]["forObject"]["uid"] = json!("uid-of-nginx");
    }
    object["metadata"]["labels"]["team"] = json!("added by a policy");
}

#[tokio::test]
async fn what_the_server_stamps_is_no_difference() {
    let fake = asked().stamping(stamp);
    let outcome = fake
        .run(
            &[
                "grant",
                "a@uid-of-a",
                "--yes",
                "--valid-for",
                "5m",
                "--reason",
                "fine",
            ],
            "",
        )
        .await;
    assert_eq!(outcome.failure, None, "{outcome:?}");
    let fake = pod().stamping(stamp);
    let outcome = fake.run(&["exec", "nginx", "--", "ls"], "").await;
    assert_eq!(outcome.failure, None, "{outcome:?}");
    let outcome = fake.run(&["cp", "nginx:/tmp/a", "."], "").await;
    assert_eq!(outcome.failure, None, "{outcome:?}");
}

#[rstest]
#[case::another_request(|grant: &mut Value| grant["spec"]["grantFor"] = json!("bobs"), "spec.grantFor: sent \"a\", stored \"bobs\"")]
#[case::another_uid(|grant: &mut Value| grant["spec"]["requestUID"] = json!("u"), "spec.requestUID: sent \"uid-of-a\", stored \"u\"")]
#[case::longer(|grant: &mut Value| grant["spec"]["validFor"] = Value::Null, "spec.validFor: sent \"5m\", stored nothing")]
#[case::another_reason(|grant: &mut Value| grant["spec"]["reason"] = json!("x"), "spec.reason: sent nothing, stored \"x\"")]
#[case::another_answer(|grant: &mut Value| grant["status"] = json!("denied"), "status: sent \"granted\", stored \"denied\"")]
#[case::no_owner(|grant: &mut Value| grant["metadata"]["ownerReferences"] = Value::Null, "metadata.ownerReferences: sent [")]
#[tokio::test]
async fn a_grant_that_was_changed_on_its_way_is_deleted(
    #[case] change: fn(&mut Value),
    #[case] said: &str,
) {
    let fake = asked().stamping(change);
    let outcome = fake
        .run(&["grant", "a@uid-of-a", "--yes", "--valid-for", "5m"], "")
        .await;
    let told = format!(
        "{}{}",
        outcome.err,
        outcome.failure.clone().unwrap_or_default()
    );
    assert!(
        told.contains("WHAT WAS STORED IS NOT WHAT YOU ANSWERED") && told.contains(said),
        "{outcome:?}"
    );
    assert!(told.contains("It was deleted again"), "{outcome:?}");
    assert_eq!(outcome.exit as u8, 1);
    assert!(!outcome.out.contains("created grant"), "{outcome:?}");
    assert_eq!(fake.stored(&format!("{GRANTS}/grant-a")), None);
}

// P23
#[rstest]
#[case::granted(&["grant", "a@uid-of-a", "--yes"], false)]
#[case::approved(&["approve", "a@uid-of-a", "--yes"], false)]
#[case::from_a_list(&["approve", "--pending"], false)]
#[case::denied(&["deny", "a", "--yes"], true)]
#[tokio::test]
async fn what_a_later_version_asks_for_is_not_granted_by_what_this_one_shows(
    #[case] line: &[&str],
    #[case] answered: bool,
) {
    let mut later = request();
    later["spec"]["execOptions"]["asRoot"] = json!(true);
    let fake = asked().with(&format!("{REQUESTS}/a"), later);
    let outcome = fake.run(line, "y\n").await;
    assert_eq!(
        fake.posted(GRANTS).len(),
        usize::from(answered),
        "{outcome:?}"
    );
    let told = format!("{}{}", outcome.err, outcome.failure.unwrap_or_default());
    assert_eq!(
        told.contains("request a also sets spec.execOptions.asRoot, which this version of the plugin does not know")
            || told.contains("left out: 1 that this version does not understand"),
        !answered,
        "{told}"
    );
    let shown = fake.run(&["show", "a"], "").await.out;
    assert!(
        shown.ends_with(
            "IT ALSO SETS spec.execOptions.asRoot, which this version of the plugin does not know: do not grant it by \
             what is shown here.\n"
        ),
        "{shown}"
    );
}

#[tokio::test]
async fn a_denial_that_became_a_grant_is_deleted() {
    let fake = asked().stamping(|grant| grant["status"] = json!("granted"));
    let outcome = fake.run(&["deny", "a", "--yes"], "").await;
    assert_eq!(outcome.exit as u8, 1, "{outcome:?}");
    assert_eq!(fake.stored(&format!("{GRANTS}/deny-a")), None);
}

#[tokio::test]
async fn a_changed_grant_that_cannot_be_deleted_is_said_to_be_there() {
    let fake = asked().stamping(|grant| grant["spec"]["grantFor"] = json!("bobs"));
    let fake = fake.refusing(Method::DELETE, &format!("{GRANTS}/grant-a"), 403, "no");
    let outcome = fake.run(&["grant", "a@uid-of-a", "--yes"], "").await;
    let told = format!(
        "{}{}",
        outcome.err,
        outcome.failure.clone().unwrap_or_default()
    );
    assert!(told.contains("IT IS STILL THERE"), "{outcome:?}");
    assert!(
        told.contains("kubectl delete acg -n default grant-a"),
        "{outcome:?}"
    );
}

#[rstest]
#[case::command(
    |request: &mut Value| request["spec"]["execOptions"]["command"] = json!(["sh", "-c", "id"]),
    "spec.execOptions.command: sent [\"ls\"], stored [\"sh\",\"-c\",\"id\"]"
)]
#[case::any_command(|request: &mut Value| request["spec"]["anyCommand"] = json!(true), "spec.anyCommand: sent nothing, stored true")]
#[case::container(|request: &mut Value| request["spec"]["execOptions"]["container"] = json!("db"), "spec.execOptions.container: ")]
#[case::target(|request: &mut Value| request["spec"]["forObject"]["name"] = json!("db"), "spec.forObject.name: ")]
#[case::duration(|request: &mut Value| request["spec"]["validFor"] = json!("12h"), "spec.validFor: ")]
#[case::door(|request: &mut Value| request["spec"]["attachOptions"] = json!({"stdin": true}), "spec.attachOptions: ")]
#[case::somebody_else(
    |request: &mut Value| {
        request["spec"]["userInfo"] = json!({"username": "bob"});
        request["spec"]["createdBy"] = json!({"username": "jane"});
    },
    "spec.userInfo.username: sent \"jane\", stored \"bob\""
)]
#[tokio::test]
async fn a_request_that_was_changed_on_its_way_is_deleted(
    #[case] change: fn(&mut Value),
    #[case] said: &str,
) {
    let fake = pod().stamping(change);
    let outcome = fake.run(&["exec", "nginx", "--new", "--", "ls"], "").await;
    let told = outcome.failure.clone().unwrap_or_default();
    assert!(
        told.contains("WHAT WAS STORED IS NOT WHAT YOU ASKED FOR") && told.contains(said),
        "{outcome:?}"
    );
    assert_eq!(outcome.exit as u8, 1);
    assert!(
        !outcome.out.contains("created accessrequest"),
        "{outcome:?}"
    );
    assert_eq!(fake.stored(&format!("{REQUESTS}/{MINE}")), None);
}
