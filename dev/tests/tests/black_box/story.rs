//! The story of the original's demo, in both access models and over both transports.

use rstest::rstest;

use kra_tests::{
    scene::{Person, Said, Scene},
    world::{self, World, eventually},
};

type Exec = fn(&Person<'_>, &[&str]) -> Said;

#[rstest]
#[case::standing_rights_over_websocket(world::standing, |jane: &Person<'_>, command: &[&str]| jane.exec(command))]
#[case::standing_rights_over_spdy(world::standing, |jane: &Person<'_>, command: &[&str]| jane.exec_over_spdy(command))]
#[case::role_per_grant_over_websocket(world::role_per_grant, |jane: &Person<'_>, command: &[&str]| jane.exec(command))]
#[case::role_per_grant_over_spdy(world::role_per_grant, |jane: &Person<'_>, command: &[&str]| jane.exec_over_spdy(command))]
fn a_command_is_asked_for_granted_and_run_once(
    #[case] world: fn() -> &'static World,
    #[case] exec: Exec,
) {
    let scene = Scene::new(world());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let not_asked = if scene.world.standing_rights {
        "you have not asked for this yet"
    } else {
        "forbidden"
    };
    exec(&jane, &["ls", "/"]).is_refused_with(not_asked);

    let once = jane.ask(&[], &["ls", "/"]);
    if scene.world.standing_rights {
        exec(&jane, &["ls", "/"])
            .is_refused_with(&format!("your request {once} waits for a grant"));
    }
    let (grant, question) = (
        format!("request grant {once}"),
        "Grant access to the request above, in cluster ",
    );
    amy.talks_at_terminal(&grant, &[(question, "n\n")])
        .ends_with(1, "nothing was stored: only y or Y");
    amy.talks_at_terminal(&grant, &[(question, "y\n")])
        .works_with(&format!("created grant grant-{once}"));
    jane.awaits(&once, "Granted");
    exec(&jane, &["ls", "/"]).works_with("etc\n");
    exec(&jane, &["ls", "/"]).is_refused_with("was for one use");
    jane.awaits(&once, "Used");
    assert_eq!(scene.uses(&once), 1);

    let hour = jane.ask(&["--valid-for", "1h"], &["hostname"]);
    amy.grant(&hour);
    for _ in 0..3 {
        exec(&jane, &["hostname"]).works_with("box");
    }
    exec(&jane, &["cat", "/etc/passwd"]).is_refused_with("you ran     [\"cat\",\"/etc/passwd\"]");
    exec(&jane, &["cat", "/etc/passwd"]).is_refused_with("granted is  [\"hostname\"]");
    jane.kubectl(["delete", "acr", &hour]).works_with("deleted");
    exec(&jane, &["hostname"]).is_refused_with("");
}

#[test]
fn receivers_are_told_of_every_step() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    jane.exec(&["date"]).is_refused_with("you have not asked");
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    jane.exec(&["date"]).works_with("UTC");
    let told = |kind: &str, what: &str| {
        let log = scene.world.log_of("audit-receiver");
        log.lines().any(|line| {
            line.contains(kind) && line.contains(&scene.namespace) && line.contains(what)
        })
    };
    eventually("all four audit events", || {
        told("audit-created", &jane.name)
            && told("audit-granted", &amy.name)
            && told("audit-exec", r#""allowed":true"#)
            && told("audit-exec", r#""allowed":false"#)
    });
}

#[test]
fn the_validation_receiver_has_a_say() {
    let scene = Scene::new(world::standing());
    let jane = scene.developer("jane");
    jane.asks(&["-k", "example-key=no"], &["date"])
        .is_refused_with("the request is not valid: the custom key example-key must be");
    jane.ask(
        &["-k", "example-key=must-match-this-key,ticket=ABC-1"],
        &["date"],
    );
}
