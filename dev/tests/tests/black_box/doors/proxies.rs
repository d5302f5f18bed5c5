//! The proxies of pods, services and nodes, which nobody can ask for: by every verb, RBAC allowing
//! it.

use rstest::rstest;

use super::{NOT_ASKED, house, owner, raw::Raw};
use kra_tests::{scene::NODE, world};

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

fn path(resource: &str, name: &str, rest: &str) -> String {
    let namespace = &house(world::standing()).namespace;
    match resource {
        "nodes" => format!("/api/v1/nodes/{name}/proxy/{rest}"),
        _ => format!("/api/v1/namespaces/{namespace}/{resource}/{name}/proxy/{rest}"),
    }
}

// A7, A10, A11
#[rstest]
#[case::pods("pods", &["talk:8080", "talk", "http:talk:8080", "box"], &["", "index.html"])]
#[case::services("services", &["talk:80", "https:talk:443", "nothing"], &["", "index.html"])]
#[case::nodes("nodes", &[NODE, "https:127.0.0.1:10250", "127.0.0.1:10250"], &[
    "", "healthz", "metrics", "exec/NAMESPACE/talk/main?command=id&output=1", "run/NAMESPACE/talk/main?cmd=id",
    "attach/NAMESPACE/talk/main?output=1", "portForward/NAMESPACE/talk",
])]
fn proxies_are_shut_whatever_the_verb(
    #[case] resource: &str,
    #[case] names: &[&str],
    #[case] rests: &[&str],
) {
    let scene = house(world::standing());
    let (owner, namespace) = (owner(scene, resource), &scene.namespace);
    let raw = Raw::of(&owner);
    let refusal = format!("{resource}/proxy cannot be asked for");
    for method in METHODS {
        for name in names {
            for rest in rests {
                raw.is_denied(
                    method,
                    &path(resource, name, &rest.replace("NAMESPACE", namespace)),
                    &refusal,
                );
            }
        }
    }
    owner
        .kubectl(["get", "--raw", &path(resource, names[0], rests[0])])
        .is_refused_with(&refusal);
}

#[test]
fn a_path_through_a_proxy_that_can_be_read_in_two_ways_is_refused_too() {
    let raw = Raw::of(&owner(house(world::standing()), "twisted"));
    for rest in ["a%2f..%2fb", "..%2f..%2fexec", "a//b", "%2e%2e/exec"] {
        raw.is_denied(
            "GET",
            &path("pods", "talk:8080", rest),
            "nothing is allowed",
        );
    }
}

#[test]
fn a_policy_lets_somebody_through_to_its_path_and_no_other() {
    let scene = house(world::standing());
    let scraper = owner(scene, "scraper");
    let policy = serde_json::json!({
        "apiVersion": "spreadgroup.com/v1", "kind": "AccessPolicy", "metadata": {"name": "scraper"},
        "spec": {"effect": "Allow", "subjects": [{"kind": "User", "name": scraper.name}], "namespaces": [scene.namespace],
            "proxies": [{"resource": "pods", "ports": ["8080"], "paths": ["/index.html"]}]},
    });
    crate::policies::owner_applies(scene, &policy).works_with("created");
    let get = |rest: &str| scraper.kubectl(["get", "--raw", &path("pods", "talk:8080", rest)]);
    world::eventually("the policy", || get("index.html").success);
    get("index.html").works_with(super::ANSWER);
    get("").is_refused_with("pods/proxy cannot be asked for");
    get("index.html/x").is_refused_with("pods/proxy cannot be asked for");
    crate::policies::owner_deletes(scene, &policy);
    get("index.html").is_refused_with("pods/proxy cannot be asked for");
}

#[test]
fn always_allowed_users_pass_the_proxies() {
    let root = house(world::standing()).root();
    root.kubectl(["get", "--raw", &path("pods", "talk:8080", "")])
        .works_with(super::ANSWER);
    // Behind the gate the API server itself refuses the loopback address that this node has.
    root.kubectl(["get", "--raw", &path("nodes", NODE, "healthz")])
        .is_refused_with("address not allowed");
}

// A3: a GET or POST without the headers of an upgrade is a connection too.
#[rstest]
#[case::exec("exec?command=id&container=main&stdout=true", NOT_ASKED)]
#[case::attach("attach?container=main&stdout=true", NOT_ASKED)]
#[case::attach_with_input(
    "attach?container=reader&stdin=true&stdout=true",
    "--allow-interactive"
)]
#[case::port_forward("portforward", NOT_ASKED)]
#[case::port_forward_with_ports("portforward?ports=8080", NOT_ASKED)]
fn doors_are_shut_to_bare_requests_of_whom_rbac_lets_do_everything(
    #[case] rest: &str,
    #[case] text: &str,
) {
    let scene = house(world::standing());
    let name = format!(
        "bare-{}",
        rest.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    );
    let raw = Raw::of(&owner(scene, &name));
    for method in ["GET", "POST"] {
        raw.is_denied(
            method,
            &format!("/api/v1/namespaces/{}/pods/talk/{rest}", scene.namespace),
            text,
        );
    }
}
