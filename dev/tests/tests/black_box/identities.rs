//! Who stands behind a name: impersonation, namespace owners, the server's own account.

use serde_json::{Value, json};

use kra_tests::{
    scene::{Scene, said},
    world,
};

const SERVER: &str = "system:serviceaccount:kube-request-access:kube-request-access";

fn grant(scene: &Scene, request: &str) -> String {
    json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessGrant",
        "metadata": {"name": format!("by-hand-{request}"), "namespace": scene.namespace},
        "spec": {"grantFor": request, "requestUID": scene.uid_of(request)}, "status": "granted",
    })
    .to_string()
}

/// Binds a role of the whole cluster to somebody, in the scene's namespace only.
fn bind(scene: &Scene, role: &str, subject: &str) {
    let name = format!(
        "{role}-{}",
        subject
            .rsplit(['=', ':'])
            .next()
            .unwrap()
            .to_lowercase()
            .replace(' ', "-")
    );
    let role = format!("--clusterrole={role}");
    scene
        .admin([
            "create",
            "rolebinding",
            "-n",
            &scene.namespace,
            &name,
            &role,
            subject,
        ])
        .works_with("created");
}

// D4, H8, H9
#[test]
fn where_approvers_are_listed_the_owner_of_a_namespace_is_none() {
    let scene = Scene::new(world::certified());
    let request = scene
        .developer("jane")
        .ask(&["--valid-for", "1h"], &["date"]);
    for groups in [
        &["devs"][..],
        &["devs", "Approvers"],
        &["devs", "approvers "],
        &["devs", "oidc:approvers"],
    ] {
        let olive = scene.person("olive", groups);
        if groups.len() == 1 {
            bind(&scene, "cluster-admin", &format!("--user={}", olive.name));
        }
        olive
            .kubectl(["auth", "can-i", "create", "accessgrants"])
            .works_with("yes");
        olive
            .kubectl_with(&grant(&scene, &request), ["create", "-f", "-"])
            .is_refused_with("you are in none of the groups that answer requests here");
    }
    scene.approver("amy").grant(&request);
}

// H1: expected not stopped; the audit log has both names.
#[test]
fn whoever_may_be_an_approver_grants_as_one_and_the_audit_log_has_both_names() {
    let scene = Scene::new(world::standing());
    let (jane, amy, ivan) = (
        scene.developer("jane"),
        scene.approver("amy"),
        scene.developer("ivan"),
    );
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    let name = format!("impersonator-{}", scene.namespace);
    scene
        .admin([
            "create",
            "clusterrole",
            &name,
            "--verb=impersonate",
            "--resource=users,groups",
        ])
        .works_with("created");
    let (role, user) = (
        format!("--clusterrole={name}"),
        format!("--user={}", ivan.name),
    );
    scene
        .admin(["create", "clusterrolebinding", &name, &role, &user])
        .works_with("created");
    let as_amy = [
        format!("--as={}", amy.name),
        "--as-group=approvers".to_owned(),
    ];
    let words = as_amy
        .iter()
        .map(String::as_str)
        .chain(["create", "-f", "-"]);
    ivan.kubectl_with(&grant(&scene, &request), words)
        .works_with("created");
    jane.awaits(&request, "Granted");
    jane.exec(&["date"]).works_with("UTC");
    let granted = format!("by-hand-{request}");
    assert_eq!(
        scene.get("accessgrant", &granted)["spec"]["grantedBy"]["username"],
        amy.name.as_str()
    );
    let log = std::fs::read_to_string(scene.world.cluster.audit_log()).unwrap();
    let both = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .any(|event| {
            event["user"]["username"] == ivan.name.as_str()
                && event["impersonatedUser"]["username"] == amy.name.as_str()
                && event["objectRef"]["resource"] == "accessgrants"
        });
    assert!(both);
}

// H2
#[test]
fn whoever_may_edit_a_namespace_is_gated_as_its_accounts_too() {
    let scene = Scene::new(world::standing());
    let ed = scene.person("ed", &[]);
    let account = format!("system:serviceaccount:{}:default", scene.namespace);
    bind(&scene, "edit", &format!("--user={}", ed.name));
    for role in ["view", "kube-request-access-requester"] {
        bind(
            &scene,
            role,
            &format!("--serviceaccount={}:default", scene.namespace),
        );
    }
    let exec = ["exec", "box", "-c", "main", "--", "date"];
    ed.kubectl([&format!("--as={account}")[..]].iter().chain(&exec))
        .is_refused_with("you have not asked");
    for other in [
        &["--as=admin"][..],
        &["--as", &account, "--as-group=system:masters"],
        &["--as", SERVER],
    ] {
        ed.kubectl(other.iter().chain(&exec))
            .is_refused_with("cannot impersonate");
    }
}

// H3, H4
#[test]
fn nobody_becomes_the_servers_account_by_the_roles_that_are_shipped() {
    let scene = Scene::new(world::standing());
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "thief", "namespace": "kube-request-access"},
        "spec": {"serviceAccountName": "kube-request-access", "containers": [{"name": "c", "image": "localhost/busybox:1"}]},
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "thief", "namespace": "kube-request-access",
            "annotations": {"kubernetes.io/service-account.name": "kube-request-access"},
        },
    });
    for person in [
        scene.developer("jane"),
        scene.approver("amy"),
        scene.person("both", &["devs", "approvers"]),
    ] {
        let kubectl = |input: &str, words: &[&str]| {
            let mut kubectl = scene.world.cluster.kubectl(&person.kubeconfig);
            kubectl.args(["-n", "kube-request-access"]).args(words);
            said(kubectl, input)
        };
        kubectl("", &["create", "token", "kube-request-access"]).is_refused_with("orbidden");
        kubectl("", &["get", "secrets"]).is_refused_with("orbidden");
        for object in [&pod, &secret] {
            kubectl(&object.to_string(), &["create", "-f", "-"]).is_refused_with("orbidden");
        }
        kubectl("", &["get", "pods", "--as", SERVER]).is_refused_with("orbidden");
    }
}

// H12
#[test]
fn the_same_name_with_another_uid_is_somebody_else() {
    let scene = Scene::new(world::standing());
    let (root, amy) = (scene.root(), scene.approver("amy"));
    let somebody = |uid: &str, words: &[&str]| {
        let flags = [
            format!("--as=twin-{}", scene.namespace),
            "--as-group=devs".to_owned(),
            format!("--as-uid={uid}"),
        ];
        root.kubectl_with(
            &crate::asking::original(&scene, &format!("twin-{}", scene.namespace)).to_string(),
            flags
                .iter()
                .map(String::as_str)
                .chain(words.iter().copied()),
        )
    };
    let created = somebody("one", &["create", "-o", "name", "-f", "-"]);
    created.works_with("accessrequest");
    let request = created.text.trim().rsplit('/').next().unwrap().to_owned();
    assert_eq!(
        scene.get("accessrequest", &request)["spec"]["userInfo"]["uid"],
        "one"
    );
    amy.grant(&request);
    let exec = ["exec", "box", "-c", "main", "--", "date"];
    somebody("two", &exec).is_refused_with("you have not asked");
    somebody("two", &["delete", "acr", &request]).is_refused_with("not yours to delete");
    somebody("one", &exec).works_with("UTC");
}

// H13: what was granted stays granted; whoever wants it to end deletes it.
#[test]
fn a_grant_outlives_the_role_of_whoever_gave_it_and_no_longer_than_itself() {
    let scene = Scene::new(world::standing());
    let (jane, ann) = (scene.developer("jane"), scene.person("ann", &[]));
    let request = jane.ask(&["--valid-for", "1h"], &["date"]);
    bind(&scene, "view", &format!("--user={}", ann.name));
    bind(
        &scene,
        "kube-request-access-approver",
        &format!("--user={}", ann.name),
    );
    ann.grant(&request);
    let name = format!("kube-request-access-approver-{}", ann.name.to_lowercase());
    scene
        .admin(["delete", "rolebinding", "-n", &scene.namespace, &name])
        .works_with("deleted");
    world::eventually("the end of her role", || {
        ann.kubectl(["auth", "can-i", "create", "accessgrants"])
            .text
            .contains("no")
    });
    jane.exec(&["date"]).works_with("UTC");
    let another = jane.ask(&[], &["date"]);
    ann.kubectl_with(&grant(&scene, &another), ["create", "-f", "-"])
        .is_refused_with("cannot create");
    scene
        .admin([
            "delete",
            "acg",
            "-n",
            &scene.namespace,
            &format!("grant-{request}"),
        ])
        .works_with("deleted");
    jane.exec(&["date"]).is_refused_with("waits for a grant");
}

// K2: the canary's account has one right, on a pod that cannot exist.
#[test]
fn whoever_steals_the_canarys_account_gets_into_no_pod_and_learns_nothing() {
    let scene = Scene::shared();
    let root = scene.root();
    let flag = "--as=system:serviceaccount:kube-request-access:kube-request-access-canary";
    root.kubectl([flag, "exec", "box", "-c", "main", "--", "date"])
        .is_refused_with("cannot get resource");
    let pods = [
        "pods",
        "-n",
        "kube-request-access",
        "-l",
        "app.kubernetes.io/name=kube-request-access",
    ];
    let path = "jsonpath={.items[0].metadata.name}";
    let server = scene
        .admin(["get"].iter().chain(&pods).chain(&["-o", path]))
        .text;
    for verb in ["get", "create"] {
        let can = |pod: &str| {
            let words = [
                flag,
                "auth",
                "can-i",
                verb,
                pod,
                "--subresource=exec",
                "-n",
                "kube-request-access",
            ];
            root.kubectl(words).text.contains("yes")
        };
        assert!(!can("pods") && !can(&format!("pods/{server}")));
        assert!(
            can("pods/canary_of_kube-request-access"),
            "this test is to ask what can be answered"
        );
    }
    let call = |door: &str| {
        let path = format!(
            "/api/v1/namespaces/kube-request-access/pods/canary_of_kube-request-access/{door}?command=date"
        );
        root.kubectl_with("", [flag, "create", "--raw", &path, "-f", "-"])
    };
    let said = call("exec");
    said.is_refused_with("this is the canary of kube-request-access, which enters no pod");
    assert!(
        !said.text.contains("was asked"),
        "a command that is no nonce has a proof: {}",
        said.text
    );
    call("attach").is_refused_with("cannot create resource");
    // Nobody makes such a pod.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "canary_of_kube-request-access", "namespace": "kube-request-access"},
        "spec": {"containers": [{"name": "main", "image": "localhost/busybox:1"}]},
    });
    root.kubectl_with(
        &pod.to_string(),
        ["create", "-n", "kube-request-access", "-f", "-"],
    )
    .is_refused_with("Invalid value");
}

// I13
#[test]
fn whoever_steals_the_servers_account_gets_into_no_pod_and_grants_nothing() {
    let scene = Scene::new(world::standing());
    let root = scene.root();
    let flag = format!("--as={SERVER}");
    let can = |verb: &str, resource: &str| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let subresource = format!("--subresource={subresource}");
        let words = [&flag, "auth", "can-i", verb, resource, &subresource];
        // Anywhere, and in its own namespace.
        let everywhere = root.kubectl(words).text;
        let at_home = scene
            .admin(words.iter().chain(&["-n", "kube-request-access"]))
            .text;
        everywhere.contains("yes") || at_home.contains("yes")
    };
    for (verb, resource) in [
        ("create", "pods/exec"),
        ("get", "pods/exec"),
        ("create", "pods/attach"),
        ("create", "pods/portforward"),
        ("patch", "pods/ephemeralcontainers"),
        ("get", "pods/proxy"),
        ("get", "nodes/proxy"),
        ("create", "accessgrants.spreadgroup.com"),
        ("delete", "accessgrants.spreadgroup.com"),
        ("create", "accessrequests.spreadgroup.com"),
        ("update", "accessrequests.spreadgroup.com"),
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("create", "serviceaccounts/token"),
        ("impersonate", "users"),
        ("create", "rolebindings"),
        ("bind", "clusterroles"),
        ("escalate", "clusterroles"),
        ("patch", "validatingwebhookconfigurations"),
        ("delete", "customresourcedefinitions"),
    ] {
        assert!(!can(verb, resource), "it can {verb} {resource}");
    }
    assert!(
        can("update", "accessrequests.spreadgroup.com/status"),
        "this test is to ask what can be answered"
    );
    root.kubectl([&flag, "exec", "box", "-c", "main", "--", "date"])
        .is_refused_with("forbidden");
    let request = scene.developer("jane").ask(&[], &["date"]);
    root.kubectl_with(&grant(&scene, &request), [&flag, "create", "-f", "-"])
        .is_refused_with("forbidden");
}

// I13
#[test]
fn with_a_role_per_grant_the_server_binds_that_role_and_no_other() {
    let scene = Scene::new(world::role_per_grant());
    let root = scene.root();
    let flag = format!("--as={SERVER}");
    let bind = |name: &str, role: &str| {
        root.kubectl([&flag, "create", "rolebinding", name, role, "--user=eve"])
    };
    bind("theirs", "--role=pod-exec").works_with("created");
    scene
        .admin([
            "create",
            "role",
            "-n",
            &scene.namespace,
            "other",
            "--verb=*",
            "--resource=*.*",
        ])
        .works_with("created");
    for role in [
        "--role=other",
        "--clusterrole=admin",
        "--clusterrole=cluster-admin",
    ] {
        bind("stolen", role)
            .is_refused_with("is attempting to grant RBAC permissions not currently held");
    }
    root.kubectl([
        &flag,
        "create",
        "role",
        "pod-exec-2",
        "--verb=create",
        "--resource=pods/exec",
    ])
    .is_refused_with("forbidden");
}
