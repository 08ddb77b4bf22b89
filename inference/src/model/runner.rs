//! One step of a model, wherever it computes: tokens in, and what the wanted rows say.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    Segment,
    decoder::Decoder,
    tensors::{self, Tensors},
};
use crate::{
    device::DeviceError,
    engine::{EngineOptions, TokenCheck, likeliest, logprob},
    kernel::{self, BLOCK_TOKENS, Isa, KvLayer, KvShape},
    sample::Sampling,
    shaping::Shape,
};

/// Rows of logits held at once: 49 152 words of f32 take 13 MB. Each pass over the head serves so many.
pub(super) const LOGIT_ROWS: usize = 64;

/// What is wanted of one row of a step.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The row: tokens of the step's segments, counted in order.
    pub(crate) row: usize,
    /// How the token is drawn.
    pub(crate) sampling: Sampling,
    /// How logits are shaped before, if they are.
    pub(crate) shape: Option<Shape>,
    /// Which generated position it has.
    pub(crate) position: u32,
    /// The token that was claimed to be drawn here, to check it.
    pub(crate) claimed: Option<u32>,
    /// How many of the likeliest tokens to name.
    pub(crate) alternatives: usize,
    /// Whether the hidden state is wanted too.
    pub(crate) hidden: bool,
}

/// What a row says.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) verdict: Verdict,
    /// The hidden state that the logits were made of; empty where it was not wanted.
    pub(crate) hidden: Vec<f32>,
}

/// What a row's logits say.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// A token was drawn.
    Drawn {
        id: u32,
        /// In nats, under softmax(logits).
        logprob: f32,
        likeliest: Vec<(u32, f32)>,
    },
    /// A claimed token was checked.
    Checked(TokenCheck),
    /// So many logits are NaN or infinite: nothing can be drawn from them.
    NotFinite { logits: usize },
}

/// Why a whole step failed.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Forward(String),
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only devices fail so"))]
    Device(DeviceError),
}

/// A model in session: it computes, and keeps the keys and values of its sequences.
#[derive(Debug)]
pub(crate) enum Runner {
    Host(Host),
    Tensors(tensors::Session),
    #[cfg(feature = "cuda")]
    Device(Box<crate::cuda::Session>),
}

impl Runner {
    pub(super) fn host(decoder: Arc<Decoder>, options: EngineOptions) -> Self {
        let blocks = options.kv_tokens.max(1).div_ceil(BLOCK_TOKENS);
        let config = &decoder.config;
        let shape = KvShape { kv_heads: config.kv_heads, head_dim: config.head_dim };
        // Pages are touched, and so occupy memory, only once used.
        let layers = (0..config.layers).map(|_| Mutex::new(KvLayer::new(shape, blocks))).collect();
        Self::Host(Host { decoder, layers, blocks })
    }

    pub(super) fn tensors(
        model: Arc<Tensors>,
        options: EngineOptions,
    ) -> Result<Self, DeviceError> {
        Ok(Self::Tensors(tensors::Session::new(model, options)?))
    }

    #[cfg(feature = "cuda")]
    pub(super) fn device(
        loaded: Arc<crate::cuda::Loaded>,
        options: EngineOptions,
    ) -> Result<Self, DeviceError> {
        Ok(Self::Device(Box::new(crate::cuda::Session::new(loaded, options)?)))
    }

    /// Blocks of keys and values there are.
    pub(crate) const fn blocks(&self) -> usize {
        match self {
            Self::Host(host) => host.blocks,
            Self::Tensors(session) => session.blocks,
            #[cfg(feature = "cuda")]
            Self::Device(session) => session.blocks(),
        }
    }

    /// Runs every segment's tokens through the layers, keeps their keys and values, and says what is
    /// wanted of the rows in `wanted`, whose rows ascend.
    pub(crate) fn step(
        &mut self,
        segments: &[Segment<'_>],
        wanted: &[Wanted],
    ) -> Result<Vec<Said>, Fault> {
        match self {
            Self::Host(host) => {
                host.step(segments, wanted).map_err(|error| Fault::Forward(error.to_string()))
            }
            Self::Tensors(session) => {
                session.step(segments, wanted).map_err(|error| Fault::Forward(error.to_string()))
            }
            #[cfg(feature = "cuda")]
            Self::Device(session) => {
                let found = session.step(segments, wanted).map_err(Fault::Device)?;
                Ok(wanted.iter().zip(found).map(|(wanted, found)| found.said(wanted)).collect())
            }
        }
    }
}

/// A decoder on this machine's processors, with the blocks of its sequences.
#[derive(Debug)]
pub(crate) struct Host {
    decoder: Arc<Decoder>,
    layers: Vec<Mutex<KvLayer>>,
    blocks: usize,
}

impl Host {
    fn step(&self, segments: &[Segment<'_>], wanted: &[Wanted]) -> candle_core::Result<Vec<Said>> {
        let hidden = self.decoder.forward(segments, &self.layers)?;
        let hidden: Vec<f32> = hidden.flatten_all()?.to_vec1()?;
        let (width, vocab) = (self.decoder.config.width, self.decoder.config.vocab);
        let row = |wanted: &Wanted| &hidden[wanted.row * width..(wanted.row + 1) * width];
        let mut said = Vec::with_capacity(wanted.len());
        for part in wanted.chunks(LOGIT_ROWS) {
            let rows: Vec<f32> = part.iter().flat_map(row).copied().collect();
            let logits = self.decoder.logits(&rows);
            said.extend(part.iter().zip(logits.chunks_exact(vocab)).map(|(wanted, logits)| Said {
                verdict: Verdict::of(wanted, logits),
                hidden: if wanted.hidden { row(wanted).to_vec() } else { Vec::new() },
            }));
        }
        Ok(said)
    }
}

impl Verdict {
    /// Judges one row of logits.
    pub(super) fn of(wanted: &Wanted, logits: &[f32]) -> Self {
        let not_finite = kernel::not_finite(Isa::detect(), logits);
        if not_finite > 0 {
            return Self::NotFinite { logits: not_finite };
        }
        let Wanted { sampling, shape, position, claimed, alternatives, .. } = wanted;
        let id = match (*claimed, shape) {
            (Some(token), None) => {
                return Self::Checked(TokenCheck::new(logits, token, sampling, *position));
            }
            (Some(token), Some(shape)) => {
                let shaped = shape.of(logits, sampling.temperature());
                let check = TokenCheck::shaped(logits, &shaped, token, sampling, *position);
                return Self::Checked(check);
            }
            (None, None) => sampling.draw(logits, *position),
            (None, Some(shape)) => shape.draw(logits, sampling, *position),
        };
        let likeliest = likeliest(logits, *alternatives);
        Self::Drawn { id, logprob: logprob(logits, id), likeliest }
    }
}

#[cfg(feature = "cuda")]
impl crate::cuda::Found {
    /// What the device found, as the engine takes it.
    fn said(self, wanted: &Wanted) -> Said {
        let answer = self.answer;
        // The device draws from the logits as they are; shaped ones are judged here.
        let verdict = if wanted.shape.is_some() {
            Verdict::of(wanted, &self.logits)
        } else if answer.not_finite > 0 {
            Verdict::NotFinite { logits: answer.not_finite as usize }
        } else if wanted.claimed.is_some() {
            Verdict::Checked(TokenCheck {
                token: answer.token,
                logprob: answer.logprob,
                rank: answer.rank,
                entropy_nat: answer.entropy,
                surprisal_nat: answer.surprisal,
                seeded_token: answer.drawn,
                margin: answer.margin,
            })
        } else {
            let likeliest = likeliest(&self.logits, wanted.alternatives);
            Verdict::Drawn { id: answer.token, logprob: answer.logprob, likeliest }
        };
        Said { verdict, hidden: self.hidden }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_not_finite_draws_nothing() {
        for bad in [f32::NAN, f32::INFINITY] {
            for claimed in [None, Some(0)] {
                let sampling = Sampling::greedy();
                let wanted = Wanted {
                    row: 0,
                    sampling,
                    shape: None,
                    position: 0,
                    claimed,
                    alternatives: 0,
                    hidden: false,
                };
                let verdict = Verdict::of(&wanted, &[1.0, bad, 2.0]);
                assert!(matches!(verdict, Verdict::NotFinite { logits: 1 }), "{verdict:?}");
            }
        }
    }
}
