//! `kubectl request port-forward`.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake::{Fake, REQUESTS};
use crate::pods::{PODS, filed, pod, refused, web_0, world};

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, selector: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "clusterIP": "10.0.0.1", "selector": selector,
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    })
}

fn ready_pod(name: &str, since: &str) -> Value {
    let mut pod = pod(name, "default");
    pod["status"]["conditions"] =
        json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
    pod
}

fn with_service() -> Fake {
    let mut leaving = ready_pod("web-3", "2025-01-01T00:00:00Z");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    world()
        .with(
            &format!("{PODS}/web-1"),
            ready_pod("web-1", "2026-01-01T00:00:00Z"),
        )
        .with(
            &format!("{PODS}/web-2"),
            ready_pod("web-2", "2025-12-31T00:00:00Z"),
        )
        .with(&format!("{PODS}/web-3"), leaving)
        .with(
            &format!("{SERVICES}/web"),
            service("web", &json!({"app": "web"})),
        )
        .with(
            &format!("{SERVICES}/external"),
            service("external", &Value::Null),
        )
}

#[rstest]
#[case::none_named(&["port-forward", "web-0"], json!({}))]
#[case::numbers(&["port-forward", "web-0", "8080:80", ":443", "5432"], json!({"ports": [80, 443, 5432]}))]
#[case::names_are_the_pods_business(&["port-forward", "web-0", "8443:https"], json!({}))]
#[case::what_kubectl_takes_too(
    &["port-forward", "--address", "0.0.0.0", "--pod-running-timeout=1m", "web-0", "80"], json!({"ports": [80]})
)]
#[tokio::test]
async fn ports_are_stored_as_wishes(#[case] line: &[&str], #[case] options: Value) {
    let fake = world();
    let outcome = fake.run(line, "").await;
    assert_eq!((outcome.failure, outcome.err.as_str()), (None, ""));
    let expected = json!({"forObject": web_0("portforward"), "execOptions": {}, "portForwardOptions": options});
    assert_eq!(filed(&fake), expected);
    assert_eq!(
        fake.posted(REQUESTS)[0]["metadata"]["generateName"],
        "access-port-forward-jane-"
    );
}

#[tokio::test]
async fn a_workload_is_asked_for_as_such() {
    let fake = world();
    assert_eq!(
        fake.run(&["port-forward", "deployment/web", "80"], "")
            .await
            .failure,
        None
    );
    assert_eq!(
        filed(&fake)["forObject"]["resource"]["resource"],
        "deployments"
    );
}

#[rstest]
#[tokio::test]
async fn a_service_leads_to_the_pod_that_was_ready_first(
    #[values("svc/web", "service/web")] target: &str,
) {
    let fake = with_service();
    let outcome = fake.run(&["port-forward", target, "9000:80"], "").await;
    assert_eq!(outcome.failure, None);
    let expected = "the request is for pod web-2 behind service web: once it is granted, name that pod to kubectl \
                    port-forward, for kubectl may choose another one behind the service\n";
    assert_eq!(outcome.err, expected);
    let spec = filed(&fake);
    assert_eq!(spec["forObject"]["name"], "web-2");
    assert_eq!(spec["forObject"]["resource"]["resource"], "pods");
    assert_eq!(spec["portForwardOptions"]["ports"], json!([8080]));
    let list = fake
        .calls()
        .into_iter()
        .find(|call| call.path == PODS)
        .unwrap();
    assert!(
        list.query.contains("labelSelector=app%3Dweb"),
        "{}",
        list.query
    );
}

#[tokio::test]
async fn a_service_without_running_pods_is_told() {
    let fake = Fake::new().with(
        &format!("{SERVICES}/web"),
        service("web", &json!({"app": "web"})),
    );
    let failure = "error: no pod behind service web is running: name a workload (deployment/NAME) to ask for whichever \
                   it runs";
    refused(&fake, &["port-forward", "svc/web", "80"], failure).await;
}

#[rstest]
#[case(
    &["port-forward", "web-0", "http:80"],
    "error: invalid port format http:80: write [LOCAL:]REMOTE, such as 8080, 8443:443, :5000 or 8443:https"
)]
#[case(
    &["port-forward", "web-0", "70000"],
    "error: invalid port format 70000: write [LOCAL:]REMOTE, such as 8080, 8443:443, :5000 or 8443:https"
)]
#[case(&["port-forward", "svc/web", "81"], "error: Service web does not have a service port 81")]
#[case(&["port-forward", "svc/web", "https"], "error: Service 'web' does not have a named port 'https'")]
#[case(&["port-forward", "svc/gone", "80"], "Error from server (NotFound): services \"gone\" not found")]
#[case(
    &["port-forward", "svc/external", "80"],
    "error: invalid service 'external': Service is defined without a selector"
)]
#[case(
    &["port-forward", "svc/a/b", "80"],
    "error: svc/a/b is not the name of an object: a name has lower-case letters, digits, '-' and '.'"
)]
#[case(
    &["port-forward", "svc/web", "--pin-pod"],
    "error: --pin-pod chooses a pod of a workload, and of service web one is chosen anyway: leave it out"
)]
#[case(
    &["port-forward", "done", "80"],
    "error: unable to forward port because pod is not running; current phase is Failed"
)]
#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_stored(#[case] line: &[&str], #[case] failure: &str) {
    refused(&with_service(), line, failure).await;
}
