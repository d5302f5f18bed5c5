//! Who somebody is.

use rstest::rstest;
use serde_json::json;

use kra_tests::{scene::Scene, world};

// H7
#[test]
fn a_service_account_that_is_not_listed_asks_for_nothing() {
    let scene = Scene::new(world::standing());
    let account = format!("--serviceaccount={}:bot", scene.namespace);
    scene
        .admin(["create", "serviceaccount", "-n", &scene.namespace, "bot"])
        .works_with("created");
    for role in ["view", "kube-request-access-requester"] {
        let role_flag = format!("--clusterrole={role}");
        scene
            .admin([
                "create",
                "rolebinding",
                "-n",
                &scene.namespace,
                role,
                &role_flag,
                &account,
            ])
            .works_with("created");
    }
    let token = scene
        .admin(["create", "token", "-n", &scene.namespace, "bot"])
        .text
        .trim()
        .to_owned();
    let kubeconfig = scene
        .world
        .cluster
        .dir()
        .join(format!("{}-bot.kubeconfig", scene.namespace));
    let authority = scene
        .world
        .cluster
        .dir()
        .join(format!("{}-ca.crt", scene.namespace));
    std::fs::write(&authority, scene.world.cluster.authority().unwrap()).unwrap();
    let bot = scene.person_with("bot", kubeconfig);
    let set = |words: &[&str]| bot.kubectl(["config"].iter().chain(words)).works_with("");
    let server = scene.world.cluster.server();
    set(&[
        "set-cluster",
        "c",
        &format!("--server={server}"),
        &format!("--certificate-authority={}", authority.display()),
        "--embed-certs",
    ]);
    set(&["set-credentials", "bot", &format!("--token={token}")]);
    set(&["set-context", "c", "--cluster=c", "--user=bot"]);
    set(&["use-context", "c"]);

    // Whoever may use its token could ask in its name, and grant that as herself.
    bot.asks(&[], &["date"])
        .is_refused_with("requests are for people, unless --requester-service-account names it");
    bot.exec(&["date"])
        .is_refused_with("you have not asked for this yet");
}

#[test]
fn names_are_stored_without_the_prefix_and_match_only_with_it() {
    let scene = Scene::new(world::prefixed());
    let (jane, amy) = (
        scene.person("oidc:jane", &["devs"]),
        scene.approver("oidc:amy"),
    );
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    let stored = scene.get("accessrequest", &request);
    assert_eq!(
        stored["spec"]["userInfo"]["username"],
        jane.name.strip_prefix("oidc:").unwrap()
    );
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");

    let bare = jane.name.strip_prefix("oidc:").unwrap();
    let impostor = scene.person_with(bare, scene.world.cluster.user(bare, &["devs"]).unwrap());
    impostor
        .exec(&["date"])
        .is_refused_with("you have not asked");
    impostor
        .asks(&[], &["date"])
        .is_refused_with("does not begin with --username-prefix");
    impostor
        .kubectl(["delete", "acr", &request])
        .is_refused_with("not yours to delete");
}

#[test]
fn always_allowed_users_need_no_request() {
    let scene = Scene::new(world::standing());
    scene.root().exec(&["date"]).works_with("UTC");
}

#[test]
fn who_may_not_see_a_pod_cannot_tell_whether_it_exists() {
    let scene = Scene::new(world::standing());
    let blind = scene.person("blind", &["nobodies"]);
    let flag = format!("--user={}", blind.name);
    let role = "--clusterrole=kube-request-access-requester";
    scene
        .admin([
            "create",
            "rolebinding",
            "-n",
            &scene.namespace,
            "blind",
            role,
            &flag,
        ])
        .works_with("created");
    let asking = |pod: &str| {
        let object = format!(
            r#"{{"apiVersion":"spreadgroup.com/v1","kind":"AccessRequest","metadata":{{"generateName":"x-"}},"spec":{{
            "forObject":{{"resource":{{"group":"","version":"v1","resource":"pods"}},"subResource":"exec","name":"{pod}"}},
            "execOptions":{{"command":["date"]}}}}}}"#
        );
        let said = blind.kubectl_with(&object, ["create", "-f", "-"]);
        said.is_refused_with("or you have no right to get pods there");
        said.text.replace(pod, "POD")
    };
    assert_eq!(asking("box"), asking("nothing"));
}

#[rstest]
#[case::mail("jane@corp.example")]
#[case::upper_case("Jane Doe")]
#[case::resource_name("arn:aws:iam::1234:role/dev")]
#[case::not_ascii("李雷")]
#[case::long(&"j".repeat(200))]
fn every_name_that_an_authenticator_gives_can_ask_and_use(#[case] name: &str) {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.person(name, &["devs"]), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    assert_eq!(
        scene.get("accessrequest", &request)["spec"]["userInfo"]["username"],
        json!(jane.name)
    );
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    jane.awaits(&request, "Used");
    amy.kubectl(["request", "list"]).works_with("Used");
}

// H9
#[test]
fn groups_that_only_look_like_an_approvers_grant_nothing() {
    let scene = Scene::new(world::standing());
    let request = scene.developer("jane").ask(&[], &["date"]);
    for group in ["Approvers", "approvers ", "x-approvers"] {
        let mallory = scene.person("mallory", &["devs", group]);
        mallory
            .kubectl(["request", "grant", &mallory.exactly(&request), "--yes"])
            .is_refused_with("cannot create");
    }
}
