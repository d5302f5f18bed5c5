//! Somebody who is told what becomes of requests, and keeps it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;

/// A notice: its type, and its data.
pub type Notice = (String, Value);

/// See the module.
pub struct Told {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    taken: Vec<Notice>,
    refused: Vec<Notice>,
    /// What is refused: the last word of a type, and a namespace.
    refuses: BTreeSet<(String, String)>,
}

impl Kept {
    fn receive(&mut self, notice: Notice) -> StatusCode {
        let (kind, data) = &notice;
        let word = kind.rsplit('.').next().unwrap_or_default().to_owned();
        let namespace = data["namespace"].as_str().unwrap_or_default().to_owned();
        if self.refuses.contains(&(word, namespace)) {
            self.refused.push(notice);
            return StatusCode::TOO_MANY_REQUESTS;
        }
        self.taken.push(notice);
        StatusCode::OK
    }
}

fn of(notices: &[Notice], request: &str) -> Vec<Notice> {
    notices
        .iter()
        .filter(|(_, data)| data["name"] == request)
        .cloned()
        .collect()
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
        of(&self.kept().taken, request)
    }

    /// What it was to be told of a request, and did not take.
    pub fn refused_of(&self, request: &str) -> Vec<Notice> {
        of(&self.kept().refused, request)
    }

    /// Has too much to do from now on for notices of this kind (`filed`) about a namespace.
    pub fn refuse(&self, kind: &str, namespace: &str) {
        self.kept()
            .refuses
            .insert((kind.to_owned(), namespace.to_owned()));
    }

    /// Takes them again.
    pub fn take(&self, kind: &str, namespace: &str) {
        self.kept()
            .refuses
            .remove(&(kind.to_owned(), namespace.to_owned()));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen() -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let keeps = Arc::clone(&kept);
        let keep = move |headers: HeaderMap, body: String| async move {
            let kind = headers["ce-type"].to_str().unwrap().to_owned();
            let data = serde_json::from_str(&body).unwrap();
            keeps
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .receive((kind, data))
        };
        let router = Router::new().route("/", post(keep));
        let (sender, address) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, router).await
            })
        });
        Self {
            address: address.recv().unwrap(),
            kept,
        }
    }
}
