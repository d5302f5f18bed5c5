//! What the original server sent to its receivers.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

/// One recorded POST.
#[derive(Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    pub(crate) headers: serde_json::Map<String, Value>,
    pub(crate) body: Value,
}

impl Recorded {
    pub(crate) fn read(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(format!("{name}.json"));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    /// The POST as it was sent, with the headers of then: there is no `Content-Type` among them.
    pub(crate) fn request(&self) -> Request<Body> {
        let body = self.body.to_string();
        let headers = self
            .headers
            .iter()
            .filter(|(name, _)| name.as_str() != "Content-Length");
        headers
            .fold(Request::post(&self.path), |request, (name, value)| {
                request.header(name, value.as_str().unwrap())
            })
            .body(Body::from(body))
            .unwrap()
    }
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).body(body.into()).unwrap()
}

pub(crate) async fn ask(router: Router, request: Request<Body>) -> (StatusCode, String) {
    let response: Response<Body> = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
