//! What reaches the screen and the shell.

pub mod exit;
pub mod kubectl;
pub mod output;
pub mod picker;
mod streams;
pub mod table;
pub mod times;
pub mod update;

pub use streams::{Pick, Terminal};
