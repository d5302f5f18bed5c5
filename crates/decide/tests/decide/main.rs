//! The decision from outside: tables for every way in which an attempt can miss, and properties that hold for all.

mod build;
mod lifecycle;
mod properties;
mod standing;
mod texts;
mod tree;
mod verdict;
mod worlds;
