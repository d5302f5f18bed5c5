//! Answers that are none, on the way from the server to the API server; and crowds before the
//! server.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rstest::rstest;
use run::{certificates::Authority, local};
use serde_json::{Value, json};
use ureq::{Agent, tls::TlsConfig};

use crate::impostor::{Asked, Impostor, Reply};
use kra_tests::{
    processes::{current, fragile},
    scene::Scene,
    world::{self, World, eventually},
};

const CONFIGURATIONS: [&str; 2] = [
    "validatingwebhookconfiguration",
    "mutatingwebhookconfiguration",
];

/// Reviews of the doors go to an impostor, within two seconds, until this is dropped.
struct Diverted<'a> {
    scene: &'a Scene,
    before: Value,
}

impl<'a> Diverted<'a> {
    fn new(scene: &'a Scene, to: &Impostor) -> Self {
        let before = stored(scene, CONFIGURATIONS[0])["webhooks"][0].take();
        let diverted = Self { scene, before };
        let url = diverted.before["clientConfig"]["url"].as_str().unwrap();
        let path = url.splitn(4, '/').nth(3).unwrap();
        let url = format!("https://{}/{path}", to.address);
        diverted.set(
            &json!({"url": url, "caBundle": STANDARD.encode(&to.authority)}),
            &json!(2),
        );
        diverted
    }

    fn set(&self, client: &Value, timeout: &Value) {
        let patch = json!([
            {"op": "replace", "path": "/webhooks/0/clientConfig", "value": client},
            {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": timeout},
        ]);
        let patch = [
            "patch",
            CONFIGURATIONS[0],
            "kube-request-access",
            "--type=json",
            "-p",
            &patch.to_string(),
        ]
        .map(str::to_owned);
        self.scene.admin(&patch).works_with("patched");
    }
}

impl Drop for Diverted<'_> {
    fn drop(&mut self) {
        self.set(&self.before["clientConfig"], &self.before["timeoutSeconds"]);
        let nobody = self.scene.developer("nobody");
        eventually("the server itself", || {
            nobody.exec(&["date"]).text.contains("you have not asked")
        });
    }
}

fn stored(scene: &Scene, kind: &str) -> Value {
    let said = scene.admin(["get", kind, "kube-request-access", "-o", "json"]);
    serde_json::from_str(&said.text).unwrap()
}

fn allowing(uid: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid, "allowed": true}})
}

// I2
#[test]
fn a_webhook_that_hangs_denies_when_its_time_is_over() {
    let (world, _turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let hung = Impostor::new(|_, _| Reply::Nothing);
    {
        let _diverted = Diverted::new(&scene, &hung);
        eventually("the impostor", || {
            let began = Instant::now();
            jane.exec_over_spdy(&["date"])
                .is_refused_with("failed calling webhook");
            assert!(
                began.elapsed() < Duration::from_secs(8),
                "{:?}",
                began.elapsed()
            );
            hung.asked() > 0
        });
        // Nothing else waits for it.
        jane.kubectl(["get", "pods"]).works_with("box");
        jane.ask(&[], &["ls"]);
    }
    assert_eq!(scene.uses(&request), 0);
    jane.exec(&["date"]).works_with("UTC");
}

// I3, I4, C23
#[rstest]
#[case::an_error(|_: &Asked, _| Reply::new("500 Internal Server Error", "", "no"))]
#[case::not_now(|_: &Asked, _| Reply::new("429 Too Many Requests", "Retry-After: 1\r\n", "later"))]
#[case::unavailable(|_: &Asked, _| Reply::new("503 Service Unavailable", "Retry-After: 1\r\n", ""))]
#[case::a_page(|_: &Asked, _| Reply::new("200 OK", "Content-Type: text/html\r\n", "<html>allowed: true</html>"))]
#[case::nothing(|_: &Asked, _| Reply::new("200 OK", "Content-Type: application/json\r\n", ""))]
#[case::an_empty_object(|_: &Asked, _| Reply::json(&json!({})))]
#[case::another_place(|_: &Asked, _| Reply::new("302 Found", "Location: /allow-all\r\n", ""))]
#[case::half_an_answer(|asked: &Asked, _| {
    let body = allowing(&json!(asked.uid())).to_string();
    Reply::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..60]).into())
})]
#[case::no_response(|_: &Asked, _| Reply::json(&json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"})))]
#[case::another_uid(|_: &Asked, _| Reply::json(&allowing(&json!("00000000-0000-0000-0000-000000000000"))))]
#[case::no_uid(|_: &Asked, _| Reply::json(&allowing(&json!(""))))]
#[case::allowed_as_text(|asked: &Asked, _| {
    let mut answer = allowing(&json!(asked.uid()));
    answer["response"]["allowed"] = json!("true");
    Reply::json(&answer)
})]
#[case::the_beta_version(|asked: &Asked, _| {
    let mut answer = allowing(&json!(asked.uid()));
    answer["apiVersion"] = json!("admission.k8s.io/v1beta1");
    Reply::json(&answer)
})]
#[case::a_patch(|asked: &Asked, _| {
    let mut answer = allowing(&json!(asked.uid()));
    answer["response"]["patchType"] = json!("JSONPatch");
    answer["response"]["patch"] = json!(STANDARD.encode("[]"));
    Reply::json(&answer)
})]
fn an_answer_that_is_none_denies(#[case] answer: fn(&Asked, usize) -> Reply) {
    let (world, _turn) = fragile();
    let scene = shared(world);
    let jane = scene.developer("jane");
    let impostor = Impostor::new(answer);
    let _diverted = Diverted::new(scene, &impostor);
    eventually("the impostor", || {
        assert!(!jane.exec_over_spdy(&["date"]).success);
        impostor.asked() > 0
    });
}

// It is the answers, and nothing else, that deny in the test above: whoever has a certificate that
// is trusted is the server.
#[test]
fn an_answer_that_is_one_is_believed_whoever_gives_it() {
    let (world, _turn) = fragile();
    let scene = shared(world);
    let impostor = Impostor::new(|asked, _| Reply::json(&allowing(&json!(asked.uid()))));
    let _diverted = Diverted::new(scene, &impostor);
    eventually("the impostor", || {
        scene.developer("jane").exec_over_spdy(&["date"]).success
    });
}

/// One for all answers that are none; nobody asks for anything in it.
fn shared(world: &'static World) -> &'static Scene {
    static SCENE: std::sync::OnceLock<Scene> = std::sync::OnceLock::new();
    SCENE.get_or_init(|| Scene::new(world))
}

/// Passes a review on to the server that runs there.
fn passed_on(to: &str, asked: &Asked) -> String {
    let answer = anybody()
        .post(format!("{to}{}", asked.path))
        .header("content-type", "application/json")
        .send(&asked.body);
    answer.unwrap().body_mut().read_to_string().unwrap()
}

/// Somebody who does not care whom he talks to.
fn anybody() -> Agent {
    let tls = TlsConfig::builder().disable_verification(true).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .proxy(None);
    config
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .new_agent()
}

// I3: what was spent and whose answer was lost is spent once.
#[rstest]
#[case::for_good("500 Internal Server Error", "", false)]
#[case::and_asked_for_again("429 Too Many Requests", "Retry-After: 1\r\n", true)]
fn an_answer_that_is_lost_on_its_way_costs_one_use_at_most(
    #[case] status: &'static str,
    #[case] headers: &'static str,
    #[case] comes_again: bool,
) {
    let (world, turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    let request = jane.ask(&[], &["date"]);
    amy.grant(&request);
    let server = format!("https://{}", current(world, &turn).address);
    let lossy = Impostor::new(move |asked, number| {
        let answer = passed_on(&server, asked);
        assert!(
            number > 0 || answer.contains(r#""allowed":true"#),
            "{answer}"
        );
        if number == 0 {
            Reply::new(status, headers, "lost")
        } else {
            Reply::new("200 OK", "Content-Type: application/json\r\n", &answer)
        }
    });
    let diverted = Diverted::new(&scene, &lossy);
    let mut said = None;
    eventually("the impostor", || {
        let one = jane.exec_over_spdy(&["date"]);
        let reached = lossy.asked() > 0;
        said = Some(one);
        reached
    });
    let said = said.unwrap();
    assert_eq!(said.success, comes_again, "{}", said.text);
    drop(diverted);
    assert_eq!(scene.uses(&request), 1);
    jane.exec(&["date"]).is_refused_with("was for one use");
}

// I11
#[test]
fn an_authority_that_is_replaced_with_overlap_costs_no_attempt() {
    let (world, turn) = fragile();
    let scene = Scene::new(world);
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    amy.grant(&jane.ask(&["--valid-for", "1h"], &["date"]));
    let old = stored(&scene, CONFIGURATIONS[0])["webhooks"][0]["clientConfig"]["caBundle"].take();
    let old = String::from_utf8(STANDARD.decode(old.as_str().unwrap()).unwrap()).unwrap();
    let new = Authority::new("the next one").unwrap();
    let trust = |bundle: &str| {
        for kind in CONFIGURATIONS {
            let mut patch = Vec::new();
            for number in 0..stored(&scene, kind)["webhooks"].as_array().unwrap().len() {
                let bundle_path = format!("/webhooks/{number}/clientConfig/caBundle");
                patch.push(
                    json!({"op": "replace", "path": bundle_path, "value": STANDARD.encode(bundle)}),
                );
            }
            let patch = Value::Array(patch).to_string();
            scene
                .admin([
                    "patch",
                    kind,
                    "kube-request-access",
                    "--type=json",
                    "-p",
                    &patch,
                ])
                .works_with("patched");
        }
    };
    let (over, attempts) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                jane.exec(&["date"]).works_with("UTC");
                attempts.fetch_add(1, Ordering::SeqCst);
            }
        });
        let some_more = || {
            let enough = attempts.load(Ordering::SeqCst) + 3;
            eventually("attempts", || attempts.load(Ordering::SeqCst) >= enough);
        };
        let log = || std::fs::read_to_string(&current(world, &turn).log).unwrap();
        let before = log().matches("read again because they changed").count();
        trust(&format!("{old}{}", new.pem()));
        some_more();
        let pair = new.serving(&["127.0.0.1", "localhost"]).unwrap();
        local::write_pair(&world.cluster.dir().join("server"), &pair).unwrap();
        eventually("the new certificate", || {
            log().matches("read again because they changed").count() > before
        });
        some_more();
        trust(&new.pem());
        some_more();
        over.store(true, Ordering::SeqCst);
    });
    jane.exec(&["id"])
        .is_refused_with("what you ran is not what was granted");
}

// I14
#[test]
fn a_crowd_of_bogus_reviews_keeps_nobody_out() {
    let scene = Scene::new(world::standing());
    let (jane, amy) = (scene.developer("jane"), scene.approver("amy"));
    amy.grant(&jane.ask(&["--valid-for", "1h"], &["date"]));
    let ips = scene.admin([
        "get",
        "pods",
        "-n",
        "kube-request-access",
        "-l",
        "app.kubernetes.io/name=kube-request-access",
        "-o",
        "jsonpath={.items[*].status.podIP}",
    ]);
    let secret = scene.world.installed.review_path.as_deref().unwrap();
    let urls: Vec<String> = ips
        .text
        .split_whitespace()
        .map(|ip| format!("https://{ip}:8443/validate"))
        .collect();
    let (over, bogus) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for number in 0..8 {
            let (over, bogus, urls) = (&over, &bogus, &urls);
            threads.spawn(move || {
                let agent = anybody();
                let garbage = "[".repeat(60_000);
                while !over.load(Ordering::SeqCst) {
                    for url in urls {
                        // Half of them know the secret; whether they are answered is of no
                        // importance here.
                        let url = if number % 2 == 0 {
                            url.clone()
                        } else {
                            format!("{url}/{secret}")
                        };
                        if agent.post(&url).send(&garbage).is_ok() {
                            bogus.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually("the crowd", || bogus.load(Ordering::SeqCst) > 100);
            for _ in 0..10 {
                let began = Instant::now();
                jane.exec(&["date"]).works_with("UTC");
                // The API server's patience with a webhook.
                assert!(
                    began.elapsed() < Duration::from_secs(10),
                    "{:?}",
                    began.elapsed()
                );
            }
        }));
        over.store(true, Ordering::SeqCst);
        ended.unwrap();
    });
    assert!(bogus.load(Ordering::SeqCst) > 100);
}
