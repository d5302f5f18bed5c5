//! Somebody who is told what becomes of requests, and keeps it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
};

use axum::{Router, http::HeaderMap, routing::post};
use serde_json::Value;

/// A notice: its type, and its data.
pub type Notice = (String, Value);

/// See the module.
pub struct Told {
    address: SocketAddr,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl Told {
    /// The one of this process, which listens as long as it lives.
    pub fn here() -> &'static Self {
        static TOLD: OnceLock<Told> = OnceLock::new();
        TOLD.get_or_init(Self::listen)
    }

    /// The URL to tell it at.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it was told of a request, in order.
    pub fn of(&self, request: &str) -> Vec<Notice> {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.iter().filter(|(_, data)| data["name"] == request).cloned().collect()
    }

    fn listen() -> Self {
        let notices = Arc::<Mutex<Vec<Notice>>>::default();
        let kept = Arc::clone(&notices);
        let keep = move |headers: HeaderMap, body: String| async move {
            let kind = headers["ce-type"].to_str().unwrap().to_owned();
            let data = serde_json::from_str(&body).unwrap();
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((kind, data));
        };
        let router = Router::new().route("/", post(keep));
        let (sender, address) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, router).await
            })
        });
        Self { address: address.recv().unwrap(), notices }
    }
}
