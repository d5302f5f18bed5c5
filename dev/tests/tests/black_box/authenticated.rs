//! Whose reviews the server believes: those of the real API server, and not those that anybody on
//! the network posts.

use std::{process::Command, time::Duration};

use run::certificates::{Authority, Pair};
use serde_json::json;
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PrivateKey, TlsConfig},
};

use kra_tests::{
    scene::{Person, Scene},
    world::{self, World},
};

/// A review as the API server would post it: this person runs `date` in `box`.
fn forged(scene: &Scene, person: &Person<'_>) -> String {
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let kind = json!({"group": "", "version": "v1", "kind": "PodExecOptions"});
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "7519fb6b-c2dc-4b9c-a95d-e7909b542e44", "operation": "CONNECT",
            "kind": kind, "requestKind": kind, "resource": resource, "requestResource": resource,
            "subResource": "exec", "requestSubResource": "exec", "name": "box", "namespace": scene.namespace,
            "userInfo": {"username": person.name, "groups": ["devs", "system:authenticated"]},
            "object": {
                "kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "stderr": true,
                "container": "main", "command": ["date"],
            },
            "oldObject": null, "dryRun": false, "options": null,
        },
    })
    .to_string()
}

/// Somebody on the network, who does not care whom he talks to, and shows this certificate.
fn client(shown: Option<&Pair>) -> Agent {
    let shown = shown.map(|pair| {
        let certificate = Certificate::from_pem(pair.certificate.as_bytes()).unwrap();
        ClientCert::new_with_certs(
            &[certificate],
            PrivateKey::from_pem(pair.key.as_bytes()).unwrap(),
        )
    });
    let tls = TlsConfig::builder()
        .client_cert(shown)
        .disable_verification(true)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .proxy(None);
    config
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .new_agent()
}

/// Where every replica of the server in the cluster listens.
fn replicas(scene: &Scene) -> Vec<String> {
    let path = "jsonpath={.items[*].status.podIP}";
    let label = "app.kubernetes.io/name=kube-request-access";
    let said = scene.admin([
        "get",
        "pods",
        "-n",
        "kube-request-access",
        "-l",
        label,
        "-o",
        path,
    ]);
    let replicas: Vec<String> = said
        .text
        .split_whitespace()
        .map(|ip| format!("https://{ip}:8443"))
        .collect();
    assert_eq!(replicas.len(), 2, "{}", said.text);
    replicas
}

/// Posts it; answers with status and body.
fn post(client: &Agent, url: &str, body: &str) -> Result<(u16, String), ureq::Error> {
    // A connection of its own: after a 404 the server does not wait for the rest of a body, and may
    // hang up.
    let post = client
        .post(url)
        .header("content-type", "application/json")
        .header("connection", "close");
    let mut response = post.send(body)?;
    Ok((
        response.status().as_u16(),
        response.body_mut().read_to_string()?,
    ))
}

fn secret(world: &World) -> &str {
    world.installed.review_path.as_deref().unwrap()
}

// I6
#[test]
fn where_the_path_is_secret_a_forged_review_on_another_is_not_found_and_uses_nothing_up() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let (review, forger, secret) = (forged(&scene, &jane), client(None), secret(scene.world));
    let guess = "0".repeat(secret.len());
    for replica in replicas(&scene) {
        for path in [
            "",
            "/",
            "/validate",
            "/mutate",
            "/ready",
            &format!("/{guess}"),
            &format!("/validate/{guess}"),
        ] {
            assert_eq!(
                post(&forger, &format!("{replica}{path}"), &review).unwrap(),
                (404, String::new()),
                "{path}"
            );
        }
        let near = [
            format!("/validate//{secret}"),
            format!("/validate/{secret}/"),
            format!("/validate/{secret}0"),
        ];
        for path in near {
            assert_eq!(
                post(&forger, &format!("{replica}{path}"), &review)
                    .unwrap()
                    .0,
                404
            );
        }
        assert_eq!(
            forger
                .get(&format!("{replica}/ready"))
                .call()
                .unwrap()
                .status(),
            200
        );
    }
    assert_eq!(scene.uses(&request), 0);
    jane.exec(&["date"]).works_with("UTC");
    assert_eq!(scene.uses(&request), 1);
}

// I6: it is the path, and nothing else, that the forger of the test above lacks.
#[test]
fn whoever_knows_the_secret_path_is_believed() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let url = format!("{}/validate/{}", replicas(&scene)[0], secret(scene.world));
    let (status, answer) = post(&client(None), &url, &forged(&scene, &jane)).unwrap();
    assert!(
        status == 200 && answer.contains(r#""allowed":true"#),
        "{status} {answer}"
    );
    jane.exec(&["date"]).is_refused_with("was for one use");
}

// I6
#[test]
fn where_a_client_certificate_is_needed_only_the_api_server_is_believed() {
    let scene = Scene::new(world::certified());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    jane.exec(&["date"])
        .is_refused_with("you have not asked for this yet");
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let review = forged(&scene, &jane);
    let other = Authority::new("webhook clients")
        .unwrap()
        .client("kube-apiserver")
        .unwrap();
    for replica in replicas(&scene) {
        let nobody = client(None);
        for path in ["/", "/validate", "/mutate"] {
            assert_eq!(
                post(&nobody, &format!("{replica}{path}"), &review).unwrap(),
                (404, String::new()),
                "{path}"
            );
        }
        assert_eq!(
            nobody
                .get(&format!("{replica}/ready"))
                .call()
                .unwrap()
                .status(),
            200
        );
        assert!(
            post(
                &client(Some(&other)),
                &format!("{replica}/validate"),
                &review
            )
            .is_err()
        );
    }
    assert_eq!(scene.uses(&request), 0);
    jane.exec(&["date"]).works_with("UTC");
    assert_eq!(scene.uses(&request), 1);
}

// I6: it is the certificate, and nothing else, that the forger of the test above lacks.
#[test]
fn whoever_has_a_certificate_of_the_authority_is_believed() {
    let scene = Scene::new(world::certified());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let pair = world::client_authority().client("whoever").unwrap();
    let url = format!("{}/validate", replicas(&scene)[0]);
    let (status, answer) = post(&client(Some(&pair)), &url, &forged(&scene, &jane)).unwrap();
    assert!(
        status == 200 && answer.contains(r#""allowed":true"#),
        "{status} {answer}"
    );
    assert_eq!(scene.uses(&request), 1);
}

// R17
#[test]
fn the_secret_path_is_in_no_log_at_any_level() {
    let scene = Scene::new(world::prefixed());
    let server = scene.world.installed.server.as_ref().unwrap();
    let (root, secret) = (scene.root(), secret(scene.world));
    root.exec(&["date"]).works_with("UTC");
    let url = |path: &str| format!("https://{}{path}", server.address);
    let forger = client(None);
    for path in [
        format!("/{secret}0"),
        format!("/validate/{secret}/"),
        "/validate".to_owned(),
    ] {
        assert_eq!(post(&forger, &url(&path), "{}").unwrap().0, 404);
    }
    assert_eq!(
        post(&forger, &url(&format!("/validate/{secret}")), "{}")
            .unwrap()
            .0,
        400
    );
    let log = || std::fs::read_to_string(&server.log).unwrap();
    world::eventually("the log", || {
        log().contains("review not read") && log().contains("unauthenticated review rejected")
    });
    assert!(
        log().contains(r#""level":"TRACE""#),
        "this test is to look at everything"
    );
    assert!(!log().contains(secret));
}

#[test]
fn the_chat_receiver_has_a_deployment_that_kustomize_renders() {
    let chat = run::checkout().join("examples/receivers/chat");
    let rendered = Scene::shared().admin(["kustomize", chat.to_str().unwrap()]);
    rendered.works_with("--incoming-webhook-url-file=/chat/url");
}

#[test]
fn the_example_overlay_puts_its_secret_into_every_path() {
    let scene = Scene::shared();
    let dir = scene.world.cluster.dir().join("overlay");
    std::fs::create_dir_all(dir.join("examples")).unwrap();
    for (from, to) in [
        ("deploy", "deploy"),
        ("examples/overlay", "examples/overlay"),
    ] {
        let copied = Command::new("cp")
            .arg("-r")
            .arg(run::checkout().join(from))
            .arg(dir.join(to))
            .status()
            .unwrap();
        assert!(copied.success());
    }
    std::fs::write(
        dir.join("examples/overlay/keys.env"),
        "review-path=a-secret\nseal-key=another\n",
    )
    .unwrap();
    let rendered = scene.admin(["kustomize", dir.join("examples/overlay").to_str().unwrap()]);
    rendered.works_with("name: kube-request-access-keys");
    let paths: Vec<&str> = rendered
        .text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("path: /"))
        .collect();
    let paths: Vec<&str> = paths.into_iter().filter(|path| *path != "ready").collect();
    assert!(paths.len() >= 3, "{paths:?}");
    assert!(
        paths
            .iter()
            .all(|path| ["validate/a-secret", "mutate/a-secret"].contains(path)),
        "{paths:?}"
    );
    // In a Secret only, and there encoded.
    assert!(!rendered.text.contains("seal-key: another"));
}
