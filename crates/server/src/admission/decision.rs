//! What a review comes to.

use api::review::Answer;

use super::gate::Waiter;
use crate::cluster::outcomes::SpentUse;

/// What is answered to a review.
#[derive(Debug)]
pub struct Decision {
    /// The answer.
    pub answer: Answer,
    /// The single use that it lets somebody make.
    pub spent: Option<SpentUse>,
}

impl From<Answer> for Decision {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            spent: None,
        }
    }
}

/// What a review comes to first.
#[derive(Debug)]
pub enum Step {
    /// To an answer.
    Answer(Box<Decision>),
    /// To a wait for a grant, in a place of its own.
    Wait(Box<Waiter>),
}

impl From<Decision> for Step {
    fn from(decision: Decision) -> Self {
        Self::Answer(Box::new(decision))
    }
}
