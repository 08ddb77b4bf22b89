//! Signed requests between neurons.
//!
//! A validator asks, a miner answers, and each can prove what the other said: requests carry
//! `btauth/1` headers, answers a signature over the request they answer. Plain HTTP/1.1 below, so
//! that any language can join; nothing here knows the chain, a model or a score.
//!
//! ```text
//! Client::post ── auth::sign ──► server::serve ──► Gate: Claim → Admission → verify → ReplayStore
//!                                                     │
//!                                                     ▼
//! Answer ◄── answer::check ◄── answer::seal ◄── handler(Caller)
//! ```
//!
//! It never follows a redirect, never unpacks a body, never holds more than its caps, and never
//! shows a handler a byte that was not signed. Wall-clock time is read in [`auth`] only.

pub mod admission;
pub mod answer;
pub mod auth;
pub mod client;
pub mod lock;
pub mod metrics;
pub mod replay;
pub mod server;

pub use admission::{Admission, Denial, Roster};
pub use auth::{Freshness, Signer, UnixNanos};
pub use client::{Answer, AnswerError, AnswerStream, Client, Endpoint, Network, Question, Timing};
pub use lock::HotkeyLock;
pub use metrics::{Code, Counters};
pub use replay::ReplayStore;
pub use server::{Caller, Gate, Refusal, Streamed, serve};
