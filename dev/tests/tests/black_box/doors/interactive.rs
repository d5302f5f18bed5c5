//! Standard input and terminals.

use rstest::rstest;

use super::{
    AIM, Aim,
    Door::{self, Attach, Debug, Exec},
    NOT_ASKED, People,
    Transport::{self, Spdy, WebSocket},
    house,
};
use kra_tests::{
    scene::{IMAGE, said_until},
    world,
};

// A4
#[rstest]
#[case::exec(Exec)]
#[case::attach(Attach)]
#[case::debug(Debug)]
fn where_it_is_switched_off_nobody_types(#[case] door: Door) {
    let people = People::new();
    people.granted(door, &[]);
    let off = "interactive access (-i, -t) cannot be granted here: the server runs without --allow-interactive";
    door.tries(&people.jane, WebSocket, &["-i"], AIM)
        .is_refused_with(off);
    door.asks(&people.jane, &["-i"], AIM)
        .is_refused_with("--allow-interactive");
}

// F12
#[rstest]
#[case::exec(Exec, "standard input (-i) was not asked for")]
#[case::attach(Attach, "standard input (-i) was not asked for")]
#[case::debug(Debug, "stdin: granted is false, you sent true")]
fn what_was_granted_without_standard_input_takes_none(#[case] door: Door, #[case] text: &str) {
    let people = People::interactive();
    let request = people.granted(door, &[]);
    let said = door.tries(&people.jane, WebSocket, &["-i"], AIM);
    said.is_refused_with(text);
    said.is_refused_with(&format!(
        "kubectl request {} -n {} -i talk",
        door.verb(),
        people.jane.scene.namespace
    ));
    assert_eq!(people.jane.scene.uses(&request), 0);
    door.opens(&people.jane, WebSocket, AIM);
}

// F12: kubectl itself attaches without a terminal to a container that has none.
#[rstest]
#[case::exec(
    Exec,
    "exec -it talk -c main -- cat /srv/www/index.html",
    "a terminal (-t) was not asked for"
)]
#[case::debug(
    Debug,
    "debug -it talk --image=localhost/busybox:1 --target=main -- echo from-the-pod",
    "tty: granted is false, you sent true"
)]
fn what_was_granted_without_a_terminal_gives_none(
    #[case] door: Door,
    #[case] line: &str,
    #[case] text: &str,
) {
    let people = People::interactive();
    let request = people.granted(door, &["-i"]);
    let said = people.jane.at_terminal(line, "", |_| false);
    said.is_refused_with(text);
    assert_eq!(people.jane.scene.uses(&request), 0);
}

// F13
#[test]
fn a_shell_that_was_granted_reads_no_script() {
    let People { jane, amy } = People::interactive();
    let request = jane
        .kubectl(["request", "exec", "talk", "-c", "main", "--", "sh"])
        .request();
    amy.grant(&request);
    jane.kubectl_with("id\n", ["exec", "-i", "talk", "-c", "main", "--", "sh"])
        .is_refused_with("standard input (-i) was not asked for");
    assert_eq!(jane.scene.uses(&request), 0);
}

// A4
#[test]
fn a_grant_to_exec_does_not_let_anybody_attach_and_type() {
    let People { jane, amy } = People::interactive();
    amy.grant(
        &jane
            .kubectl([
                "request",
                "shell",
                "--valid-for",
                "1h",
                "talk",
                "-c",
                "reader",
            ])
            .request(),
    );
    jane.kubectl(["attach", "-i", "talk", "-c", "reader"])
        .is_refused_with(NOT_ASKED);
}

#[rstest]
fn who_may_type_into_what_runs_is_answered(#[values(WebSocket, Spdy)] transport: Transport) {
    let People { jane, amy } = People::interactive();
    amy.grant(
        &jane
            .kubectl(["request", "attach", "-i", "talk", "-c", "reader"])
            .request(),
    );
    let mut attach = jane.command(["attach", "-i", "talk", "-c", "reader"]);
    attach.env(
        "KUBECTL_REMOTE_COMMAND_WEBSOCKETS",
        (transport == WebSocket).to_string(),
    );
    let typed = format!("typed by {} over {transport:?}\n", jane.name);
    said_until(attach, &typed, |text| text.contains(typed.trim())).works_with("");
    jane.kubectl(["attach", "-i", "talk", "-c", "reader"])
        .is_refused_with("was for one use");
}

#[test]
fn a_shell_is_asked_for_granted_and_used_at_a_terminal() {
    let People { jane, amy } = People::interactive();
    let request = jane
        .kubectl(["request", "shell", "talk", "-c", "main"])
        .request();
    let said = amy.kubectl_with("n\n", ["request", "grant", &request]);
    for text in [
        "ANY command",
        "STDIN AND TTY",
        "What is typed into it is not limited.",
    ] {
        said.is_refused_with(text);
    }
    amy.grant(&request);
    let shell = "exec -it talk -c main -- sh";
    jane.at_terminal(shell, "echo answer=$((40+2))\n", |text| {
        text.contains("answer=42")
    })
    .works_with("");
    jane.at_terminal(shell, "", |_| false)
        .is_refused_with("was for one use");
    assert_eq!(jane.scene.uses(&request), 1);
}

/// Two steps, a patch and an attach to a name that kubectl makes up, by one approval.
#[test]
fn kubectl_debug_at_a_terminal_takes_one_approval() {
    let People { jane, amy } = People::interactive();
    let debug = format!("debug -it talk --image={IMAGE} --target=main -- sh");
    let denied = jane.at_terminal(&debug, "", |_| false);
    denied.is_refused_with(NOT_ASKED);
    // The promise: the line of the denial, pasted.
    let line = denied
        .text
        .lines()
        .find_map(|line| line.trim_end().strip_prefix("  kubectl "))
        .unwrap();
    let request = jane.shell(&format!("kubectl {line}")).request();
    amy.grant(&request);
    jane.at_terminal(&debug, "echo answer=$((40+2))\n", |text| {
        text.contains("answer=42")
    })
    .works_with("");
    assert_eq!(jane.scene.uses(&request), 2);
    jane.at_terminal(&debug, "", |_| false)
        .is_refused_with("was for one use");
}

/// What is granted for one container is not for another that has the same standard input.
#[test]
fn typing_into_another_container_is_not_covered() {
    let people = People::interactive();
    people.granted(Attach, &["-i"]);
    let aim = Aim {
        container: "reader",
        ..AIM
    };
    Attach
        .tries(&people.jane, WebSocket, &["-i"], aim)
        .is_refused_with("another container");
    assert!(std::ptr::eq(people.jane.scene, house(world::prefixed())));
}
