//! What is read where a door is shut and where it may be opened: by whoever asks, and by whoever
//! approves.

use rstest::rstest;

use super::{
    AIM,
    Door::{self, Attach, CopyInto, CopyOut, Debug, DebugAttach, Exec, PortForward},
    GATE, NOT_ASKED, People,
    Transport::WebSocket,
    debugger, is_attached,
};
use kra_tests::scene::{Said, said_until};

// The issue's promise: paste the line, have it granted, and the same kubectl works.
#[rstest]
#[case::exec(Exec, "exec -n NAMESPACE talk -c main -- cat /srv/www/index.html")]
#[case::attach(Attach, "attach -n NAMESPACE talk -c main")]
#[case::port_forward(PortForward, "port-forward -n NAMESPACE talk")]
#[case::debug(
    Debug,
    "debug -n NAMESPACE talk --image=localhost/busybox:1 --target=main -- echo from-the-pod"
)]
#[case::copy_out(CopyOut, "cp -n NAMESPACE -c main talk:/srv/www/index.html .")]
fn the_line_that_the_denial_says_can_be_pasted(#[case] door: Door, #[case] line: &str) {
    let people = People::new();
    let said = door.tries(&people.jane, WebSocket, &[], AIM);
    let line = format!(
        "kubectl request {}",
        line.replace("NAMESPACE", &people.jane.scene.namespace)
    );
    said.is_refused_with(&format!(
        ".\n  {line}\nOnce somebody grants it, the same kubectl {} works.",
        door.verb()
    ));
    people.amy.grant(&people.jane.shell(&line).request());
    door.opens(&people.jane, WebSocket, AIM);
}

/// The first exec of `kubectl cp` into a pod does not say in which directory the second will
/// unpack.
#[test]
fn who_copies_into_a_pod_is_told_to_type_the_line_again() {
    let people = People::new();
    let said = CopyInto.tries(&people.jane, WebSocket, &[], AIM);
    said.is_refused_with("type your line again with `kubectl request cp` in place of `kubectl cp`");
    people.granted(CopyInto, &[]);
    CopyInto.opens(&people.jane, WebSocket, AIM);
}

/// `kubectl debug --attach` without `-i` does not say so when it adds the container: attaching is
/// asked for then.
#[test]
fn who_attaches_to_a_container_that_was_granted_without_it_is_told_how_to_ask() {
    let People { jane, amy } = People::new();
    let denied = DebugAttach.tries(&jane, WebSocket, &[], AIM);
    let line = denied
        .text
        .lines()
        .find_map(|line| line.strip_prefix("  kubectl "))
        .unwrap();
    let request = jane.shell(&format!("kubectl {line}")).request();
    amy.grant(&request);
    // kubectl says it, and shows the log instead.
    let words = DebugAttach.words(&jane, AIM);
    let debug = jane.command(
        ["debug"]
            .into_iter()
            .chain(words.iter().map(String::as_str)),
    );
    let said = said_until(debug, "", |text| {
        text.contains("the same kubectl attach works")
    });
    said.works_with(&format!(
        "falling back to streaming logs: unable to upgrade connection: {GATE}: {NOT_ASKED}"
    ));
    let name = debugger(&said);
    let attach = format!("attach -n {} talk -c {name}", jane.scene.namespace);
    said.works_with(&format!("  kubectl request {attach}"));
    amy.grant(&jane.shell(&format!("kubectl request {attach}")).request());
    said_until(
        jane.command(["attach", "talk", "-c", &name]),
        "",
        is_attached,
    )
    .works_with("");
}

#[rstest]
#[case::exec(Exec, &[r#"["cat","/srv/www/index.html"]"#, r#"can run ["cat","/srv/www/index.html"] once"#])]
#[case::attach(Attach, &["attach to what runs in the container", "can attach to container main of pod talk once", "see what it prints."])]
#[case::port_forward(PortForward, &["ANY (wanted: 8080)", "Ports CANNOT be limited", "any port of the pod can be reached"])]
#[case::debug(Debug, &["Attach       no", "What runs in it cannot be limited: it shares the network of the pod and the processes of container main."])]
#[case::debug_attach(DebugAttach, &["Attach       yes", "once, and attach to it, in namespace", "can trace processes (SYS_PTRACE) (profile general)"])]
#[case::copy_into(CopyInto, &["cp INTO the container", r#"write ANY file below "/srv/in""#, "What is copied there cannot be limited"])]
#[case::copy_out(CopyOut, &["cp out of the container", "can copy this out of container main of pod talk once", "with all that is below it"])]
fn whoever_approves_reads_what_it_means(#[case] door: Door, #[case] texts: &[&str]) {
    let people = People::new();
    let request = door.ask(&people.jane, &["--reason", "INC-42"], AIM);
    let said = people
        .amy
        .kubectl_with("n\n", ["request", "grant", &request]);
    let shown = people.amy.kubectl(["request", "show", &request]);
    for text in [&people.jane.name, "INC-42"]
        .iter()
        .copied()
        .chain(texts.iter().copied())
    {
        // A sentence goes on in the next row.
        let contains = |said: &Said| said.text.replace("\n  ", " ").contains(text);
        assert!(!said.success && contains(&said), "{text}\n{}", said.text);
        assert!(shown.success && contains(&shown), "{text}\n{}", shown.text);
    }
}
