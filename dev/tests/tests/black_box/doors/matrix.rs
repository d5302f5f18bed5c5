//! Door by door, outcome by outcome. What is not quick is told by both transports only with
//! `KRA_ALL`.

use rstest::rstest;

use super::{
    AIM, Aim,
    Door::{self, Attach, CopyInto, CopyOut, Debug, DebugAttach, Exec, PortForward},
    NOT_ASKED, People,
    Transport::{self, Spdy, WebSocket},
    transports,
};
use kra_tests::world::{self, eventually};

// A1, A2, A3, A5
#[rstest]
fn who_has_not_asked_is_told_how_to(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
    #[values(WebSocket, Spdy)] transport: Transport,
) {
    let People { jane, .. } = People::new();
    door.is_shut(&jane, transport, AIM, NOT_ASKED)
        .is_refused_with(&format!("kubectl request {}", door.verb()));
}

#[rstest]
fn what_is_granted_works_once(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
    #[values(WebSocket, Spdy)] transport: Transport,
) {
    let people = People::new();
    let request = people.granted(door, &[]);
    door.opens(&people.jane, transport, AIM);
    let uses = if door == DebugAttach { 2 } else { 1 };
    assert_eq!(people.jane.scene.uses(&request), uses);
    let said = door.is_shut(
        &people.jane,
        transport,
        AIM,
        &format!("your request {request} (granted by "),
    );
    said.is_refused_with("was for one use, ");
    said.is_refused_with("kubectl request ");
    assert_eq!(people.jane.scene.uses(&request), uses);
}

#[rstest]
fn a_request_that_waits_opens_nothing(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let People { jane, .. } = People::new();
    let request = door.ask(&jane, &[], AIM);
    for transport in transports() {
        door.is_shut(
            &jane,
            transport,
            AIM,
            &format!("your request {request} waits for a grant since"),
        )
        .is_refused_with(&format!(
            "kubectl request grant -n {} {request}",
            jane.scene.namespace
        ));
    }
}

// A6
#[rstest]
fn another_pod_is_not_covered(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let people = People::new();
    let request = people.granted(door, &[]);
    for transport in transports() {
        let said = door.is_shut(
            &people.jane,
            transport,
            Aim { pod: "box", ..AIM },
            NOT_ASKED,
        );
        assert!(!said.text.contains(&request), "{}", said.text);
    }
    assert_eq!(people.jane.scene.uses(&request), 0);
}

#[rstest]
fn another_container_is_not_covered(
    #[values(Exec, Attach, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let people = People::new();
    let request = people.granted(door, &[]);
    let differs = match door {
        Debug | DebugAttach => r#"targetContainerName: granted is "main", you sent "side""#,
        Exec | Attach | PortForward | CopyInto | CopyOut => "another container",
    };
    for transport in transports() {
        let said = door.is_shut(
            &people.jane,
            transport,
            Aim {
                container: "side",
                ..AIM
            },
            differs,
        );
        said.is_refused_with(&format!(
            "what you ran is not what was granted with your request {request}"
        ));
    }
    assert_eq!(people.jane.scene.uses(&request), 0);
}

// A13
#[rstest]
fn another_command_or_path_is_not_covered(
    #[values(Exec, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let people = People::new();
    let request = people.granted(door, &[]);
    let differs = match door {
        Exec => r#"you ran     ["cat","/etc/hosts"]"#,
        CopyInto => r#"you ran     ["tar","-xmf","-","-C","/srv/www"]"#,
        CopyOut => r#"you ran     ["tar","cf","-","/srv"]"#,
        Debug => {
            r#"command: granted is ["echo","from-the-pod"], you sent ["echo","something-else"]"#
        }
        Attach | PortForward | DebugAttach => r#"command: granted is ["sh","-c","#,
    };
    for transport in transports() {
        let said = door.is_shut(
            &people.jane,
            transport,
            Aim {
                otherwise: true,
                ..AIM
            },
            differs,
        );
        said.is_refused_with(&format!(
            "what you ran is not what was granted with your request {request}"
        ));
    }
    assert_eq!(people.jane.scene.uses(&request), 0);
}

#[rstest]
fn somebody_else_has_not_asked_and_learns_nothing(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let (people, other) = (People::new(), People::new());
    let request = people.granted(door, &[]);
    for transport in transports() {
        let said = door.is_shut(&other.jane, transport, AIM, NOT_ASKED);
        assert!(
            ![&request, &people.jane.name, &people.amy.name]
                .iter()
                .any(|name| said.text.contains(*name))
        );
    }
    assert_eq!(people.jane.scene.uses(&request), 0);
}

#[rstest]
fn what_was_for_seconds_ends(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let people = People::new();
    let request = people.granted(door, &["--valid-for", "3s"]);
    let text = format!(
        "your access by request {request} (granted by {}) ended ",
        people.amy.name
    );
    eventually("its end", || {
        door.tries(&people.jane, WebSocket, &[], AIM)
            .text
            .contains(&text)
    });
    for transport in transports() {
        door.is_shut(&people.jane, transport, AIM, &text)
            .is_refused_with("To ask again:");
    }
}

#[rstest]
fn what_is_for_an_hour_works_again_and_ends_with_its_request(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let people = People::new();
    let request = people.granted(door, &["--valid-for", "1h"]);
    for _ in 0..2 {
        door.opens(&people.jane, WebSocket, AIM);
    }
    people
        .jane
        .kubectl(["delete", "acr", &request])
        .works_with("deleted");
    for transport in transports() {
        door.is_shut(&people.jane, transport, AIM, NOT_ASKED);
    }
}

#[rstest]
fn deleting_the_grant_shuts_the_door_at_once(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let people = People::new();
    let request = people.granted(door, &["--valid-for", "1h"]);
    people
        .amy
        .kubectl(["delete", "acg", &format!("grant-{request}")])
        .works_with("deleted");
    for transport in transports() {
        door.is_shut(
            &people.jane,
            transport,
            AIM,
            &format!("your request {request} waits for a grant"),
        );
    }
}

#[rstest]
fn a_denial_shuts_the_door_again(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let people = People::new();
    let request = people.granted(door, &["--valid-for", "1h"]);
    let deny = [
        "request",
        "deny",
        &request,
        "--yes",
        "--reason",
        "not today",
    ];
    people.amy.kubectl(deny).works_with("deny");
    people.jane.awaits(&request, "Denied");
    for transport in transports() {
        let text = format!("{} denied your request {request}", people.amy.name);
        door.is_shut(&people.jane, transport, AIM, &text)
            .is_refused_with("(not today)");
    }
}

/// Where rights come with each grant, RBAC answers before the gate does.
#[rstest]
fn the_role_that_is_bound_opens_every_door_while_the_grant_lasts(
    #[values(Exec, Attach, PortForward, Debug, DebugAttach, CopyInto, CopyOut)] door: Door,
) {
    let people = People::of(world::role_per_grant());
    door.tries(&people.jane, WebSocket, &[], AIM)
        .is_refused_with("cannot ");
    let request = people.granted(door, &[]);
    door.opens(&people.jane, WebSocket, AIM);
    // The rights stay for a minute, because RBAC is asked after the gate.
    door.is_shut(&people.jane, WebSocket, AIM, "was for one use, ");
    people
        .jane
        .kubectl(["delete", "acr", &request])
        .works_with("deleted");
    eventually("the end of its rights", || {
        door.tries(&people.jane, WebSocket, &[], AIM)
            .text
            .contains("cannot ")
    });
}
