//! `kubectl request whoami`.

use serde_json::{Value, json};

use crate::fake::Fake;

#[tokio::test]
async fn who_we_are_and_what_we_may_is_told() {
    let outcome = Fake::new()
        .may_not_create("accessgrants")
        .run(&["whoami"], "")
        .await;
    insta::assert_snapshot!(outcome.out);
}

#[tokio::test]
async fn an_approver_without_other_rights_is_told_so() {
    let fake = Fake::new()
        .known_as("a my")
        .may_not_create("accessrequests")
        .may_not_create("pods");
    insta::assert_snapshot!(fake.run(&["whoami"], "").await.out);
}

#[tokio::test]
async fn scripts_read_it_as_an_object() {
    let fake = Fake::new().may_not_create("accessgrants");
    let told: Value =
        serde_json::from_str(&fake.run(&["whoami", "-o", "json"], "").await.out).unwrap();
    assert_eq!(told["userInfo"]["username"], "jane");
    assert_eq!(
        told["may"],
        json!({"createAccessRequests": true, "createAccessGrants": false, "createPodsExec": true})
    );
    assert!(
        fake.run(&["whoami", "-o", "yaml"], "")
            .await
            .out
            .starts_with("userInfo:\n  groups:\n")
    );
}
