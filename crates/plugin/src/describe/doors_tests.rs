//! What each kind of request reads like.

use api::AccessRequest;
use api::objects::EphemeralContainer;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::describe::summary;
use crate::terminal::screen::{Reader, Screen};
use decide::text::is_hidden;

pub(super) fn reader() -> Reader<'static> {
    Reader {
        screen: Screen::PIPE,
        cluster: "prod (https://prod:6443)",
    }
}

fn request(door: &str, more: &Value) -> AccessRequest {
    let mut spec = json!({
        "userInfo": {"username": "jane"},
        "forObject": {
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": door, "name": "web-0",
        },
        "execOptions": {},
    });
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let metadata = json!({"name": "access-jane-x", "namespace": "shop"});
    let object = json!({"apiVersion": "spreadgroup.com/v1", "kind": "AccessRequest", "metadata": metadata, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn summary_of(door: &str, more: &Value) -> String {
    summary::of(
        &request(door, more),
        &summary::Beside {
            follows: Some("a, which asked for the same").filter(|_| more.get("follows").is_some()),
            ..Default::default()
        },
        &reader(),
    )
}

#[test]
fn attaching_says_whether_something_can_be_typed() {
    let silent = json!({"attachOptions": {"stdout": true, "stderr": true, "container": "web"}});
    let expected = r"Who          jane
Asks for     attach to what runs in the container
Pod          web-0
Container    web
Namespace    shop
Cluster      prod (https://prod:6443)
How long     once

jane can attach to container web of pod web-0 once, in namespace shop: see
  what it prints.
";
    assert_eq!(summary_of("attach", &silent), expected);
    let typing = json!({"attachOptions": {"stdin": true, "tty": true, "container": "web"}, "validFor": "1h", "follows": "a"});
    let expected = "\
Follows      a, which asked for the same
Who          jane
Asks for     attach to what runs in the container
Pod          web-0
Container    web
Namespace    shop
Cluster      prod (https://prod:6443)
How long     for 1h
Interactive  STDIN AND TTY

jane can attach to container web of pod web-0 again and again for 1h, in
  namespace shop: see what it prints and TYPE INTO it. What is typed into it is
  not limited.
";
    assert_eq!(summary_of("attach", &typing), expected);
}

#[test]
fn forwarding_ports_says_that_they_cannot_be_limited() {
    let expected = "\
Who          jane
Asks for     port-forward to ANY port
Pod          web-0
Namespace    shop
Cluster      prod (https://prod:6443)
How long     once
Ports        ANY (wanted: 80, 443)

jane can forward ports to pod web-0 once, in namespace shop. Ports CANNOT be
  limited: any port of the pod can be reached, for as long as that kubectl runs.
";
    assert_eq!(
        summary_of(
            "portforward",
            &json!({"portForwardOptions": {"ports": [80, 443]}})
        ),
        expected
    );
    assert!(summary_of("portforward", &json!({})).contains("Ports        ANY (none is named)\n"));
}

#[test]
fn copying_into_a_pod_says_what_can_be_written() {
    let mut spec = json!({
        "copy": {"direction": "to", "path": "/srv/app/n.txt", "directory": "/srv/app"},
        "execOptions": {"container": "web", "stdin": true, "command": ["tar", "-xmf", "-", "-C", "/srv/app"]},
    });
    let expected = r#"Who          jane
Asks for     cp INTO the container
Pod          web-0
Container    web
Namespace    shop
Cluster      prod (https://prod:6443)
How long     once
Path         "/srv/app/n.txt"
Unpacked in  "/srv/app"
Command      ["tar","-xmf","-","-C","/srv/app"]

jane can copy into container web of pod web-0 once, in namespace shop, and so
  write ANY file below "/srv/app". What is copied there cannot be limited.
"#;
    assert_eq!(summary_of("exec", &spec), expected);
    spec["copy"] = json!({"direction": "to", "path": "/etc", "directory": "/"});
    spec["execOptions"] = json!({"container": "web"});
    assert!(
        summary_of("exec", &spec)
            .replace("\n  ", " ")
            .contains("and so write ANY file in it.")
    );
    spec["execOptions"]["command"] = json!(["tar", "-xmf", "-", "-C", "/etc"]);
    let another = summary_of("exec", &spec);
    assert!(
        another.contains("Asks for     what is not understood: execOptions.command is not what"),
        "{another}"
    );
    assert!(another.ends_with("do not grant it.\n"), "{another}");
}

#[test]
fn copying_out_of_a_pod_says_what_can_be_read() {
    let spec = json!({"copy": {"direction": "from", "path": "/var/log"}, "execOptions": {"container": "web"}});
    let expected = r#"Who          jane
Asks for     cp out of the container
Pod          web-0
Container    web
Namespace    shop
Cluster      prod (https://prod:6443)
How long     once
Path         "/var/log"
Command      ["tar","cf","-","/var/log"]

jane can copy this out of container web of pod web-0 once, in namespace shop:
  if it is a directory, with all that is below it.
"#;
    assert_eq!(summary_of("exec", &spec), expected);
}

#[test]
fn a_debug_container_is_told_whole() {
    let container = json!({
        "image": "busybox", "command": ["sh"], "args": ["-c", "id"], "targetContainerName": "web", "name": "mine",
        "securityContext": {"privileged": true}, "stdin": true, "tty": true, "imagePullPolicy": "Never",
        "env": [{"name": "A", "value": "\u{202e}b"}], "workingDir": "/tmp",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let expected = r#"Also sets  | env [{"name":"A","value":"\u202eb"}]
Also sets  | imagePullPolicy "Never"
Also sets  | volumeMounts [{"mountPath":"/data","name":"data"}]
Also sets  | workingDir "/tmp"

Who          jane
Asks for     debug with another container in the pod
Pod          web-0
Namespace    shop
Cluster      prod (https://prod:6443)
How long     once
Named        mine
Sees         the processes of container web
Attach       yes
Interactive  STDIN AND TTY
Image        "busybox"
Command      ["sh"]
Arguments    ["-c","id"]
Rights       PRIVILEGED: root on the node (profile sysadmin)
Also sets    env, imagePullPolicy, volumeMounts, workingDir (above)

jane can add a container of image "busybox" to pod web-0 once, and attach to
  it, in namespace shop. What runs in it cannot be limited: it shares the
  network of the pod and the processes of container web. It is PRIVILEGED, which
  is ROOT ON THE NODE. What is typed into it is not limited.
"#;
    let spec = json!({"ephemeralContainer": container, "attach": true});
    assert_eq!(summary_of("ephemeralcontainers", &spec), expected);
}

#[test]
fn a_plain_debug_container_says_what_is_left_to_image_and_kubectl() {
    let container =
        json!({"image": "busybox", "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}});
    let text = summary_of(
        "ephemeralcontainers",
        &json!({"ephemeralContainer": container}),
    );
    let expected = r#"Named        (any name)
Sees         its own processes
Attach       no
Image        "busybox"
Command      (the image's)
Rights       can trace processes (SYS_PTRACE) (profile general)
"#;
    assert!(text.contains(expected), "{text}");
}

#[test]
fn rights_that_no_profile_gives_are_shown_as_they_are() {
    let rights = json!({"privileged": true, "runAsUser": 0});
    let container = json!({"image": "busybox", "securityContext": rights});
    let text = summary_of(
        "ephemeralcontainers",
        &json!({"ephemeralContainer": container}),
    );
    let line = "Rights       PRIVILEGED: root on the node {\"privileged\":true,\"runAsUser\":0}\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("ROOT ON THE NODE"), "{text}");
}

#[test]
fn a_request_that_says_two_things_is_not_understood() {
    let spec = json!({"portForwardOptions": {}, "anyCommand": true});
    let text = summary_of("portforward", &spec);
    assert!(
        text.contains("Asks for     what is not understood: anyCommand says nothing of"),
        "{text}"
    );
}

#[test]
fn every_door_fits_a_table() {
    let brief = |door: &str, more: &Value| summary::command_line(&request(door, more));
    let container =
        json!({"image": "busybox", "command": ["sh"], "securityContext": {"privileged": true}});
    let debug = json!({"ephemeralContainer": container, "attach": true});
    assert_eq!(
        brief("ephemeralcontainers", &debug),
        r#"debug PRIVILEGED "busybox" ["sh"], attach"#
    );
    assert_eq!(
        brief("attach", &json!({"attachOptions": {"stdin": true}})),
        "attach, STDIN"
    );
    assert_eq!(brief("attach", &json!({})), "attach");
    let ports = json!({"portForwardOptions": {"ports": [80]}});
    assert_eq!(
        brief("portforward", &ports),
        "port-forward ANY (wanted: 80)"
    );
    let to = json!({"copy": {"direction": "to", "path": "/a b/c", "directory": "/a b"}});
    assert_eq!(brief("exec", &to), r#"cp to "/a b/c", unpacked in "/a b""#);
    assert_eq!(
        brief(
            "exec",
            &json!({"copy": {"direction": "from", "path": "/a"}})
        ),
        r#"cp from "/a""#
    );
    assert_eq!(brief("proxy", &json!({})), "(not understood)");
    assert_eq!(summary::container(&request("portforward", &json!({}))), "-");
    assert_eq!(
        summary::container(&request("attach", &json!({}))),
        "(the default one)"
    );
}

fn texts() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-b\\\\\"{} \n\u{1b}\u{202e}é]{1,3}|\\PC{1,4}")
}

fn containers() -> impl Strategy<Value = EphemeralContainer> {
    let words = || {
        prop::option::of(prop::collection::vec(
            texts().prop_map(Option::unwrap_or_default),
            1..3,
        ))
    };
    let parts = (
        texts(),
        texts(),
        texts(),
        words(),
        words(),
        texts(),
        any::<(bool, bool)>(),
    );
    parts.prop_map(
        |(image, name, target, command, args, value, (stdin, tty))| EphemeralContainer {
            image: image.unwrap_or_default(),
            name,
            target_container_name: target,
            command,
            args,
            env: value.map(|value| {
                vec![api::objects::EnvVar {
                    name: "A".to_owned(),
                    value: Some(value),
                }]
            }),
            stdin: stdin.then_some(true),
            tty: tty.then_some(true),
            ..EphemeralContainer::default()
        },
    )
}

fn debug(container: &EphemeralContainer) -> String {
    let container = serde_json::to_value(container).unwrap();
    summary_of(
        "ephemeralcontainers",
        &json!({"ephemeralContainer": container}),
    )
}

proptest! {
    #[test]
    fn different_debug_containers_never_read_the_same(one in containers(), other in containers()) {
        let (shown, shown_other) = (debug(&one), debug(&other));
        prop_assert!(!shown.chars().any(|c| c != '\n' && is_hidden(c)), "{}", shown);
        prop_assert_eq!(shown == shown_other, one == other);
    }

    #[test]
    fn different_copies_never_read_the_same(one in texts(), other in texts()) {
        let copy = |path: &Option<String>| {
            let path = path.clone().unwrap_or_default();
            summary_of("exec", &json!({"copy": {"direction": "to", "path": path, "directory": path}}))
        };
        prop_assert!(!copy(&one).chars().any(|c| c != '\n' && is_hidden(c)));
        prop_assert_eq!(copy(&one) == copy(&other), one.unwrap_or_default() == other.unwrap_or_default());
    }
}
