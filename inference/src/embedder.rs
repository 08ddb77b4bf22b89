//! Sentence embeddings: encoders of the BERT family, read from the same places as other models and
//! identified in the same way.
//!
//! Texts are computed one by one, without padding, by the crate's own kernels: a vector is the same
//! bits whatever else was asked beside it, on every processor.

mod encoder;

use std::{path::Path, sync::Arc};

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    config::ConfigError,
    hub::Hub,
    id::ModelId,
    load::{self, LoadError},
    source::ModelSource,
    tokenizer::TokenizerError,
};
use encoder::{Encoder, Shape};

/// Requests that may wait for the one under way; one more is refused with [`EmbedError::Busy`].
const QUEUE: usize = 64;

/// A text to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Text, which the model's tokenizer cuts and frames.
    Text(String),
    /// Ids of the model's own words, taken as they are.
    Tokens(Vec<u32>),
}

/// A text's vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// As many numbers as [`Embedder::dimensions`], of Euclidean length 1.
    pub vector: Vec<f32>,
    /// Tokens that were read.
    pub tokens: usize,
}

/// A text that is not embedded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// Too many requests wait.
    #[error("{QUEUE} requests wait already")]
    Busy,
    /// Nothing to embed.
    #[error("passage {index} is empty")]
    Empty {
        /// Which one.
        index: usize,
    },
    /// Longer than the model reads.
    #[error("passage {index} has {tokens} tokens, and the model reads {context} at most")]
    TooLong {
        /// Which one.
        index: usize,
        /// Its tokens.
        tokens: usize,
        /// The most read.
        context: usize,
    },
    /// An id that is no word of the model's.
    #[error("passage {index} holds token {token}, and the model has {vocab} words")]
    UnknownToken {
        /// Which one.
        index: usize,
        /// The id.
        token: u32,
        /// Words of the model.
        vocab: usize,
    },
    /// The tokenizer refuses the text.
    #[error("passage {index} cannot be cut into tokens")]
    Tokenizer {
        /// Which one.
        index: usize,
        /// Why.
        source: TokenizerError,
    },
    /// The computation ended without an answer.
    #[error("the computation failed")]
    Failed,
}

/// How a text's vector comes from those of its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// The first one's, `[CLS]`.
    First,
}

/// A loaded encoder. Immutable; share it by `Arc`.
pub struct Embedder {
    id: ModelId,
    name: String,
    encoder: Encoder,
    pooling: Pooling,
    context: usize,
    words: tokenizers::Tokenizer,
    seats: Arc<Semaphore>,
    /// One request computes at a time, on all the threads that were given.
    turn: Mutex<()>,
}

impl Embedder {
    /// Loads an encoder in f32 from a Hugging Face folder, fetched first where `source` is a model of
    /// the hub. `threads` where `None`: [`crate::default_threads`].
    pub fn load(source: &ModelSource, threads: Option<usize>) -> Result<Self, LoadError> {
        match source {
            ModelSource::Tiny | ModelSource::Random(_) => Err(LoadError::Config {
                path: source.name().into(),
                source: ConfigError::NoEncoder("llama".to_owned()),
            }),
            ModelSource::Path(path) => Self::open(source.name(), path, threads),
            ModelSource::Hub(hub) => {
                let path = Hub::from_env()?.fetch(hub)?;
                Self::open(source.name(), &path, threads)
            }
        }
    }

    fn open(name: String, path: &Path, threads: Option<usize>) -> Result<Self, LoadError> {
        let files = load::Folder::open(path)?;
        let shape = files.config("config.json", Shape::from_json)?;
        let pooling = match files.optional("1_Pooling/config.json")? {
            Some(json) => Pooling::from_json(&json).map_err(|e| files.unusable("1_Pooling", e))?,
            None => Pooling::default(),
        };
        let asked = match files.optional("sentence_bert_config.json")? {
            Some(json) => {
                serde_json::from_slice::<Sentences>(&json)
                    .map_err(|e| files.unusable("sentence_bert_config.json", e.into()))?
                    .max_seq_length
            }
            None => None,
        };
        let words = files.tokenizer(shape.vocab)?;
        let context = asked.map_or(shape.positions, |asked| asked.min(shape.positions)).max(1);
        let (encoder, id) = Encoder::load(files.into_tensors(), shape, threads)?;
        Ok(Self {
            id,
            name,
            encoder,
            pooling,
            context,
            words,
            seats: Arc::new(Semaphore::new(QUEUE)),
            turn: Mutex::new(()),
        })
    }

    /// What this model is.
    pub const fn id(&self) -> ModelId {
        self.id
    }

    /// Its name in tables; says nothing about what it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Numbers of a vector.
    pub const fn dimensions(&self) -> usize {
        self.encoder.shape().width
    }

    /// Most tokens of a text.
    pub const fn context(&self) -> usize {
        self.context
    }

    /// The vectors of `passages`, in their order. All are checked before the first is computed, and
    /// nothing more is computed once nobody waits for the answer.
    pub async fn embed(
        self: &Arc<Self>,
        passages: Vec<Passage>,
    ) -> Result<Vec<Embedding>, EmbedError> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| EmbedError::Busy)?;
        let (answer, answered) = oneshot::channel();
        let embedder = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _seat = seat;
            let done = embedder.compute(passages, || answer.is_closed());
            // Where nobody waits there is nobody to tell.
            drop(answer.send(done));
        });
        answered.await.map_err(|_| EmbedError::Failed)?
    }

    fn compute(
        &self,
        passages: Vec<Passage>,
        abandoned: impl Fn() -> bool,
    ) -> Result<Vec<Embedding>, EmbedError> {
        let cut = |(index, passage)| self.tokens(index, passage);
        let texts = passages.into_iter().enumerate().map(cut).collect::<Result<Vec<_>, _>>()?;
        let mut done = Vec::with_capacity(texts.len());
        for tokens in texts {
            let _turn = self.turn.lock();
            if abandoned() {
                return Err(EmbedError::Failed);
            }
            let vector = self.pooled(&self.encoder.forward(&tokens));
            done.push(Embedding { vector, tokens: tokens.len() });
        }
        Ok(done)
    }

    fn tokens(&self, index: usize, passage: Passage) -> Result<Vec<u32>, EmbedError> {
        let tokens = match passage {
            Passage::Text(text) if text.is_empty() => Vec::new(),
            Passage::Text(text) => {
                let cut = self.words.encode_fast(text, true).map_err(TokenizerError::Inner);
                let cut = cut.map_err(|source| EmbedError::Tokenizer { index, source })?;
                cut.get_ids().to_vec()
            }
            Passage::Tokens(tokens) => tokens,
        };
        let (context, vocab) = (self.context, self.encoder.shape().vocab);
        if tokens.is_empty() {
            return Err(EmbedError::Empty { index });
        }
        if tokens.len() > context {
            return Err(EmbedError::TooLong { index, tokens: tokens.len(), context });
        }
        match tokens.iter().find(|&&token| token as usize >= vocab) {
            Some(&token) => Err(EmbedError::UnknownToken { index, token, vocab }),
            None => Ok(tokens),
        }
    }

    /// One vector of length 1 from `hidden`, `[tokens, width]`.
    fn pooled(&self, hidden: &[f32]) -> Vec<f32> {
        let width = self.dimensions();
        let rows = match self.pooling {
            Pooling::Mean => hidden,
            Pooling::First => &hidden[..width],
        };
        let mut sums = vec![0.0_f64; width];
        for row in rows.chunks_exact(width) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
        let norm = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "vectors are in f32")]
        sums.iter().map(|sum| (sum / norm.max(f64::MIN_POSITIVE)) as f32).collect()
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `sentence_bert_config.json`, as far as we read it.
#[derive(Deserialize)]
struct Sentences {
    max_seq_length: Option<usize>,
}

/// `1_Pooling/config.json`, as far as we read it.
#[derive(Deserialize)]
struct RawPooling {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

impl Pooling {
    fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let raw: RawPooling = serde_json::from_slice(json)?;
        match (raw.pooling_mode_cls_token, raw.pooling_mode_mean_tokens) {
            (false, true) => Ok(Self::Mean),
            (true, false) => Ok(Self::First),
            _ => Err(ConfigError::Pooling),
        }
    }
}
