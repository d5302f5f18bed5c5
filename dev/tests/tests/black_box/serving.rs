//! What the server itself answers.

use kra_tests::{scene::Scene, world};

fn path(of: &str) -> String {
    format!(
        "/api/v1/namespaces/kube-request-access/services/https:kube-request-access:443/proxy{of}"
    )
}

#[test]
fn it_is_ready_and_counts_what_it_decides() {
    let scene = Scene::new(world::standing());
    scene
        .developer("jane")
        .exec(&["date"])
        .is_refused_with("you have not asked");
    scene
        .admin(["get", "--raw", &path("/ready")])
        .works_with("ok");
    scene
        .admin(["get", "--raw", &path("/metrics")])
        .works_with("# EOF");
    scene
        .admin([
            "get",
            "deployment",
            "-n",
            "kube-request-access",
            "kube-request-access",
            "-o",
            "jsonpath={.status.readyReplicas}",
        ])
        .works_with("2");
}

#[test]
fn what_is_no_review_is_refused_with_a_reason() {
    let scene = Scene::new(world::standing());
    let reviews = format!(
        "/validate/{}",
        scene.world.installed.review_path.as_deref().unwrap()
    );
    let post = |body: &str| {
        let file = scene
            .world
            .cluster
            .dir()
            .join(format!("{}.body", scene.namespace));
        std::fs::write(&file, body).unwrap();
        scene.admin([
            "create",
            "--raw",
            &path(&reviews),
            "-f",
            file.to_str().unwrap(),
        ])
    };
    for body in [
        "",
        "no json",
        "[]",
        "{}",
        r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#,
    ] {
        let said = post(body);
        assert!(
            !said.success && !said.text.trim().is_empty(),
            "{body}: {}",
            said.text
        );
    }
    scene
        .developer("jane")
        .exec(&["date"])
        .is_refused_with("you have not asked");
}
