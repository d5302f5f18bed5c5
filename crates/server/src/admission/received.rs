//! A review, and who acts by it.

use api::{
    convert,
    review::{AdmissionRequest, Review},
};
use decide::identity::Caller;

/// A review as it came, and who acts by it. Who that is is derived here, once, and nowhere else.
#[derive(Debug)]
pub struct Received {
    /// The review.
    pub review: Review,
    /// Who acts.
    pub caller: Caller,
}

impl Received {
    /// What the API server asks about.
    pub fn request(&self) -> &AdmissionRequest {
        &self.review.request
    }
}

impl From<Review> for Received {
    fn from(review: Review) -> Self {
        Self {
            caller: convert::caller(&review.request.user_info),
            review,
        }
    }
}
