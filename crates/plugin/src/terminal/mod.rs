//! What reaches the screen and the shell.

pub mod exit;
pub mod guard;
pub mod keyboard;
pub mod kubectl;
pub mod lines;
pub mod output;
pub mod picker;
pub mod screen;
mod streams;
pub mod table;
pub mod times;
pub mod update;
pub mod words;

pub use streams::{Pick, Reply, Terminal};
