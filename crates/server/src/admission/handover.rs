//! An answer whose handing over is noticed: only what has left for the API server's connection was
//! answered.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Calls `then` once the connection has taken the last byte of a response; never where it was
/// dropped before.
pub fn noticed(response: Response, then: impl FnOnce() + Send + 'static) -> Response {
    response.map(|body| {
        Body::new(Noticed {
            body,
            then: Some(Box::new(then)),
        })
    })
}

struct Noticed {
    body: Body,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl HttpBody for Noticed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let is_done = match &polled {
            Poll::Ready(Some(Ok(_frame))) => self.body.is_end_stream(),
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if is_done && let Some(then) = self.then.take() {
            then();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
