//! The receivers, asked as the server asks them.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod https;
#[cfg(test)]
mod process;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod validation;
