//! What was measured.

use serde::Serialize;

use super::{
    cells::Cell,
    disturbed::Disturbed,
    ratios::Ratio,
    stage::{Cores, Started},
};

/// All that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) version: &'static str,
    pub(super) cores: Cores,
    pub(super) connections: usize,
    pub(super) starts: Vec<Started>,
    pub(super) decisions: Vec<Cell>,
    pub(super) disturbed: Vec<Disturbed>,
    pub(super) ratios: Vec<Ratio>,
    pub(super) seconds: f64,
}
