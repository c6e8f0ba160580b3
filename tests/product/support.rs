//! What the tests share: a running server, a client of it, and bounded waiting.

mod client;
mod feed;
mod files;
mod server;
mod wait;

pub(crate) use client::{Answer, Client};
pub(crate) use feed::{Feed, Told, request};
pub(crate) use files::{files, tree};
pub(crate) use server::{Ended, Server, Working, run, run_long, run_under, run_unread, run_with};
pub(crate) use wait::{now, until};
