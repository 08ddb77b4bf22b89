//! Evidence of what ran, answer by answer, and what a verifier makes of it.
//!
//! ```text
//! Completion + states ─ Answer::record ─▶ ANSWER.json ─ Answer::read ─▶ Answer
//!                                                          Engine::audit ─▶ Audit (one prefill)
//! Reading::new(answer, audit) ─▶ Standing::observe ─▶ Verdict: pass | fail | no evidence
//!                                  Pair: how honest answers look, from a Calibration
//! ```
//!
//! Three things are compared, and they prove different things:
//!
//! - the **tokens** against those that the seed draws from the verifier's own logits. Only this binds
//!   the *writing* to the model, and only tokens that had a choice ([`EVIDENCE_NATS`]) count;
//! - the **log-probabilities** and the **fingerprints** of hidden states ([`Scheme`]) against the verifier's own. They
//!   see finer deviations, yet a forger passes them who writes with a cheap model and then reads the
//!   text once with the true one. So they add to the seed's evidence and never replace it.
//!
//! Evidence is accumulated by tests that may be looked at at any time ([`Standing`]); an honest server
//! is ever convicted with chance at most [`ALPHA`]. None of this is attestation: it says what answers
//! are consistent with, not what hardware computed them.

mod answer;
mod calibration;
pub mod cli;
mod fingerprint;
mod prompts;
mod reading;
mod sequential;
mod states;
pub mod table;
mod toploc;
mod trial;
mod verdict;

pub use answer::{
    Answer, AnswerError, Binding, Bytes32, FORMAT, LEAF_TOKENS, MAX_ANSWER_BYTES,
    MAX_ANSWER_TOKENS, Sampler, Signature, Verifies,
};
pub use calibration::{
    CALIBRATION_FORMAT, Calibration, CalibrationError, Drawn, EXACT_RATE, Pair, Side, Spread,
};
pub use fingerprint::{DIRECTIONS, GROUP_TOKENS, Sketch, SketchError};
pub use reading::{EVIDENCE_NATS, Reading};
pub use sequential::{EProcess, Tail};
pub(crate) use states::Observer;
pub use states::{Fingerprint, Scheme, States};
pub use toploc::{CHUNK_TOKENS, LARGEST, Polynomial, PolynomialError, Top};
pub use trial::{Sample, TrialError, answer, calibrate, read, side};
pub use verdict::{ALPHA, Listen, MIN_EVIDENCE_TOKENS, Report, Standing, Verdict};
