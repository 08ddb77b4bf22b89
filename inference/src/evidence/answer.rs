//! One recorded answer with everything that an auditor needs.

use std::{io::Read, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    calibration::Side,
    states::{Fingerprint, Scheme},
};
use crate::{
    Completion, Finish, ModelId, Sampling, SamplingError, Shaping, ShapingError,
    sample::{MAX_TEMPERATURE, SAMPLER},
    shaping::SHAPED_SAMPLER,
};

/// Format of the file.
pub const FORMAT: &str = "ganglion-answer/1";

/// Largest answer file read: a hundred thousand tokens in JSON take a few megabytes.
pub const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// Most tokens of a prompt or a completion in an answer.
pub const MAX_ANSWER_TOKENS: usize = 1 << 17;

/// Generated tokens that a leaf of the tree covers.
pub const LEAF_TOKENS: usize = 32;

/// Bytes of evidence for [`LEAF_TOKENS`] tokens: log-probabilities and fingerprints.
pub(super) const fn leaf_bytes(scheme: Scheme) -> usize {
    2 * LEAF_TOKENS + LEAF_TOKENS / scheme.tokens() * scheme.bytes()
}

/// Steps of a recorded log-probability in a nat.
const LOGPROB_STEPS: f32 = 1024.0;

/// What a hotkey signs starts with this, so that no other message can pass for it.
const SIGNED: &[u8] = b"ganglion/answer-root/1";

/// Thirty-two bytes, hex in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bytes32(pub [u8; 32]);

impl Serialize for Bytes32 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes32 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| serde::de::Error::custom(format!("`{text}` is not 64 hex digits")))?;
        Ok(Self(bytes))
    }
}

/// What fixes a seed that the server cannot choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The validator's, fresh for each request.
    pub nonce: Bytes32,
    /// Public key of the server asked: an answer fetched from another server has another seed.
    pub hotkey: Bytes32,
    /// SHA-256 of the request without its seed.
    pub request: Bytes32,
}

impl Binding {
    /// The first eight bytes, little-endian, of
    /// `SHA-256("ganglion/seed/1" ‖ nonce ‖ hotkey ‖ request)`.
    pub fn seed(&self) -> u64 {
        let digest = Sha256::new()
            .chain_update(b"ganglion/seed/1")
            .chain_update(self.nonce.0)
            .chain_update(self.hotkey.0)
            .chain_update(self.request.0)
            .finalize();
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(seed)
    }
}

/// How the tokens were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawSampler", into = "RawSampler")]
pub enum Sampler {
    /// [`gumbel-v1`](crate::sample): the seed fixes every token.
    Seeded {
        /// The divisor of logits.
        temperature: f32,
        /// What fixes the draws.
        seed: u64,
        /// What fixed the seed, where a validator asked.
        binding: Option<Binding>,
    },
    /// [`gumbel-v2`](crate::shaping): the seed fixes every token among those that the shaping leaves.
    Shaped {
        /// The divisor of logits.
        temperature: f32,
        /// What fixes the draws.
        seed: u64,
        /// What fixed the seed, where a validator asked.
        binding: Option<Binding>,
        /// What was done to the logits first; never nothing.
        shaping: Box<Shaping>,
    },
    /// A backend that draws as it likes: only how surprising its tokens are can be checked. Its
    /// answers may leave out log-probabilities and sketches.
    Unseeded {
        /// The divisor of logits.
        temperature: f32,
    },
}

/// Name of [`Sampler::Unseeded`].
const UNSEEDED: &str = "unseeded";

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSampler {
    name: String,
    temperature: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binding: Option<Binding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shaping: Option<Box<Shaping>>,
}

impl TryFrom<RawSampler> for Sampler {
    type Error = String;

    fn try_from(raw: RawSampler) -> Result<Self, String> {
        let RawSampler { name, temperature, seed, binding, shaping } = raw;
        match (name.as_str(), seed, binding, shaping) {
            (SAMPLER, Some(seed), binding, None) => Ok(Self::Seeded { temperature, seed, binding }),
            (SHAPED_SAMPLER, Some(seed), binding, Some(shaping)) if !shaping.is_neutral() => {
                Ok(Self::Shaped { temperature, seed, binding, shaping })
            }
            (UNSEEDED, None, None, None) => Ok(Self::Unseeded { temperature }),
            _ => Err(format!(
                "sampler `{name}` is none of `{SAMPLER}` with a seed, `{SHAPED_SAMPLER}` with a seed \
                 and what shapes the logits, `{UNSEEDED}`"
            )),
        }
    }
}

impl From<Sampler> for RawSampler {
    fn from(sampler: Sampler) -> Self {
        let name = sampler.name().to_owned();
        let raw =
            |temperature| Self { name, temperature, seed: None, binding: None, shaping: None };
        match sampler {
            Sampler::Seeded { temperature, seed, binding } => {
                Self { seed: Some(seed), binding, ..raw(temperature) }
            }
            Sampler::Shaped { temperature, seed, binding, shaping } => {
                Self { seed: Some(seed), binding, shaping: Some(shaping), ..raw(temperature) }
            }
            Sampler::Unseeded { temperature } => raw(temperature),
        }
    }
}

impl Sampler {
    /// The sampler of an engine of ours that draws so.
    pub fn of(temperature: f32, seed: u64, binding: Option<Binding>, shaping: Shaping) -> Self {
        if shaping.is_neutral() {
            return Self::Seeded { temperature, seed, binding };
        }
        Self::Shaped { temperature, seed, binding, shaping: Box::new(shaping) }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Seeded { .. } => SAMPLER,
            Self::Shaped { .. } => SHAPED_SAMPLER,
            Self::Unseeded { .. } => UNSEEDED,
        }
    }

    /// True where a seed fixes the tokens.
    pub const fn is_seeded(&self) -> bool {
        !matches!(self, Self::Unseeded { .. })
    }

    /// The sampling to re-read the answer with.
    pub fn sampling(&self) -> Result<Sampling, SamplingError> {
        match *self {
            Self::Seeded { temperature, seed, .. } | Self::Shaped { temperature, seed, .. } => {
                Sampling::new(temperature, seed)
            }
            Self::Unseeded { temperature } => Sampling::new(temperature, 0),
        }
    }

    /// The shaping to re-read it with: what was done to the logits before a token was drawn.
    pub fn shaping(&self) -> Shaping {
        match self {
            Self::Shaped { shaping, .. } => (**shaping).clone(),
            Self::Seeded { .. } | Self::Unseeded { .. } => Shaping::default(),
        }
    }

    /// The seed and what fixed it, where a validator asked.
    const fn bound(&self) -> Option<(u64, Binding)> {
        match *self {
            Self::Seeded { seed, binding: Some(binding), .. }
            | Self::Shaped { seed, binding: Some(binding), .. } => Some((seed, binding)),
            _ => None,
        }
    }
}

/// A hotkey's word for an answer's root. Who knows keys makes and checks it, not this crate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The public key.
    pub hotkey: Bytes32,
    /// sr25519 over [`Answer::signed_bytes`], hex.
    pub signature: String,
}

/// Whether a public key made a signature of a message. Who knows keys has one; this crate does not.
pub type Verifies = fn(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;

/// An answer and its evidence, as `ANSWER.json` holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// [`FORMAT`].
    pub format: String,
    /// What the server says it ran.
    pub model: ModelId,
    /// By whose arithmetic: [`Model::arithmetic`](crate::Model::arithmetic), or a name that the
    /// server's calibration knows.
    pub engine: String,
    /// How tokens were drawn.
    pub sampler: Sampler,
    /// Exact ids of the prompt.
    pub prompt_ids: Vec<u32>,
    /// Exact ids of the completion, the one that ended it included.
    pub completion_ids: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Log-probability of each token in 1/1024 nat, negated: 0 is certainty.
    pub logprobs: Vec<u16>,
    /// Sketches of the hidden states.
    pub fingerprint: Fingerprint,
    /// Root of the hash tree over all of the above.
    pub root: Bytes32,
    /// The server's signature of the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// An answer that is not checked because it is none, or not whole, or not of one piece.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is longer than any answer.
    #[error("more than {MAX_ANSWER_BYTES} bytes: no answer is that long")]
    TooLong,
    /// The file ends early.
    #[error("the answer is truncated: it ends in the middle of line {line}")]
    Truncated {
        /// Where.
        line: usize,
    },
    /// Not JSON, or not an answer's fields.
    #[error("not an answer: {0}")]
    Json(serde_json::Error),
    /// Another format.
    #[error("format `{found}` is not `{FORMAT}`")]
    Format {
        /// What the file says.
        found: String,
    },
    /// No completion, no prompt, or more tokens than [`MAX_ANSWER_TOKENS`].
    #[error("the {what} has {tokens} tokens (1 to {MAX_ANSWER_TOKENS} are read)")]
    Tokens {
        /// Prompt or completion.
        what: &'static str,
        /// How many it has.
        tokens: usize,
    },
    /// Parts that should be of one length are not.
    #[error("{found} {what} for {tokens} tokens: {wanted} are due")]
    Lengths {
        /// Which part.
        what: &'static str,
        /// Tokens of the completion.
        tokens: usize,
        /// Its length.
        found: usize,
        /// The length due.
        wanted: usize,
    },
    /// Impossible sampling parameters.
    #[error("temperature {0} is not within 0..={MAX_TEMPERATURE}")]
    Temperature(f32),
    /// Impossible shaping parameters.
    #[error(transparent)]
    Shaping(#[from] ShapingError),
    /// The contents are not those whose root was recorded.
    #[error("the answer was altered: its contents have root {computed}, and it says {recorded}")]
    Root {
        /// Root of the contents.
        computed: String,
        /// Root recorded.
        recorded: String,
    },
    /// The signature is not of the key that it names.
    #[error("the signature of the root is not {hotkey}'s")]
    Signature {
        /// The key named.
        hotkey: String,
    },
    /// The seed was fixed for one key and another one signed.
    #[error("{signed} signed an answer whose seed was bound to {bound}")]
    Signer {
        /// The key that the seed is bound to.
        bound: String,
        /// The key that signed.
        signed: String,
    },
    /// The seed is not the one that nonce, hotkey and request fix.
    #[error("seed {seed} is not the one its binding fixes ({bound})")]
    Seed {
        /// Seed recorded.
        seed: u64,
        /// Seed of the binding.
        bound: u64,
    },
}

impl Answer {
    /// Records what an engine of ours computed for `prompt_ids`, with fingerprints asked for.
    ///
    /// # Errors
    /// [`AnswerError::Lengths`] where the completion was computed without fingerprints.
    pub fn record(
        server: Side,
        sampler: Sampler,
        prompt_ids: Vec<u32>,
        completion: &Completion,
    ) -> Result<Self, AnswerError> {
        let mut answer = Self {
            format: FORMAT.to_owned(),
            model: server.model,
            engine: server.engine,
            sampler,
            prompt_ids,
            completion_ids: completion.token_ids.clone(),
            finish: completion.finish,
            logprobs: completion.logprobs.iter().map(|&l| quantised(l)).collect(),
            fingerprint: match &completion.states {
                Some(states) => states.fingerprint(),
                None => Fingerprint::Sketches { sketches: Vec::new() },
            },
            root: Bytes32([0; 32]),
            signature: None,
        };
        answer.root = answer.compute_root();
        answer.check()?;
        Ok(answer)
    }

    /// Adds the signature that `sign` makes of [`Self::signed_bytes`].
    #[must_use]
    pub fn signed_by(mut self, hotkey: [u8; 32], sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Self {
        let signature = hex::encode(sign(&self.signed_bytes()));
        self.signature = Some(Signature { hotkey: Bytes32(hotkey), signature });
        self
    }

    /// What the server's hotkey signs.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [SIGNED, &self.root.0].concat()
    }

    /// The public key that signed the root; `None` where nobody did.
    ///
    /// # Errors
    /// [`AnswerError::Signature`] where the key did not sign, [`AnswerError::Signer`] where the seed is
    /// bound to another.
    pub fn signer(&self, verifies: Verifies) -> Result<Option<Bytes32>, AnswerError> {
        let Some(Signature { hotkey, signature }) = &self.signature else { return Ok(None) };
        let key = || hex::encode(hotkey.0);
        let mut bytes = [0; 64];
        let reads = hex::decode_to_slice(signature, &mut bytes).is_ok();
        if !reads || !verifies(&hotkey.0, &self.signed_bytes(), &bytes) {
            return Err(AnswerError::Signature { hotkey: key() });
        }
        match self.sampler.bound() {
            Some((_, binding)) if binding.hotkey != *hotkey => {
                let bound = hex::encode(binding.hotkey.0);
                Err(AnswerError::Signer { bound, signed: key() })
            }
            _ => Ok(Some(*hotkey)),
        }
    }

    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, AnswerError> {
        let io = |source| AnswerError::Io { path: path.display().to_string(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::parse(&bytes)
    }

    /// Reads and checks the bytes of a file: format, lengths, seed and root.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerError> {
        if bytes.len() as u64 > MAX_ANSWER_BYTES {
            return Err(AnswerError::TooLong);
        }
        let answer: Self = serde_json::from_slice(bytes).map_err(|error| {
            if error.is_eof() {
                AnswerError::Truncated { line: error.line() }
            } else {
                AnswerError::Json(error)
            }
        })?;
        answer.check()?;
        Ok(answer)
    }

    /// Holds the parts against one another.
    pub fn check(&self) -> Result<(), AnswerError> {
        if self.format != FORMAT {
            return Err(AnswerError::Format { found: self.format.clone() });
        }
        let tokens = self.completion_ids.len();
        for (what, tokens) in [("prompt", self.prompt_ids.len()), ("completion", tokens)] {
            if tokens == 0 || tokens > MAX_ANSWER_TOKENS {
                return Err(AnswerError::Tokens { what, tokens });
            }
        }
        let (fingerprints, each) = (self.fingerprint.len(), self.fingerprint.scheme().tokens());
        for (what, found, wanted) in [
            ("log-probabilities", self.logprobs.len(), tokens),
            ("fingerprints", fingerprints, tokens.div_ceil(each)),
        ] {
            let left_out = found == 0 && !self.sampler.is_seeded();
            if found != wanted && !left_out {
                return Err(AnswerError::Lengths { what, tokens, found, wanted });
            }
        }
        self.sampler
            .sampling()
            .map_err(|SamplingError::Temperature(t)| AnswerError::Temperature(t))?;
        // The words of the model bound it further, once there is a model.
        self.sampler.shaping().check(usize::MAX)?;
        if let Some((seed, binding)) = self.sampler.bound()
            && binding.seed() != seed
        {
            return Err(AnswerError::Seed { seed, bound: binding.seed() });
        }
        let computed = self.compute_root();
        if computed != self.root {
            let (computed, recorded) = (hex::encode(computed.0), hex::encode(self.root.0));
            return Err(AnswerError::Root { computed, recorded });
        }
        Ok(())
    }

    /// Root of the tree whose first leaf is the header and each further one [`LEAF_TOKENS`] tokens
    /// with their log-probabilities and fingerprints. Leaves and nodes hash apart, as in RFC 6962.
    pub fn compute_root(&self) -> Bytes32 {
        let header = leaf(&self.header());
        let ids = self.completion_ids.chunks(LEAF_TOKENS);
        let mut logprobs = self.logprobs.chunks(LEAF_TOKENS);
        let fingerprints = self.fingerprint.bytes();
        let mut fingerprints =
            fingerprints.chunks(LEAF_TOKENS / self.fingerprint.scheme().tokens());
        let chunks = ids.map(|ids| {
            let mut bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            let logprobs = logprobs.next().unwrap_or_default();
            bytes.extend(logprobs.iter().flat_map(|l| l.to_le_bytes()));
            bytes.extend(fingerprints.next().unwrap_or_default().iter().flatten());
            leaf(&bytes)
        });
        Bytes32(root(std::iter::once(header).chain(chunks).collect()))
    }

    /// Everything that is not per token, each field with its length before it.
    fn header(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut field = |part: &[u8]| {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        };
        field(self.format.as_bytes());
        field(self.model.to_string().as_bytes());
        field(self.engine.as_bytes());
        field(self.fingerprint.scheme().name().as_bytes());
        field(self.sampler.name().as_bytes());
        match &self.sampler {
            Sampler::Seeded { temperature, seed, binding }
            | Sampler::Shaped { temperature, seed, binding, .. } => {
                field(&temperature.to_le_bytes());
                field(&seed.to_le_bytes());
                for part in binding.iter().flat_map(|b| [b.nonce, b.hotkey, b.request]) {
                    field(&part.0);
                }
            }
            Sampler::Unseeded { temperature } => field(&temperature.to_le_bytes()),
        }
        if let Sampler::Shaped { shaping, .. } = &self.sampler {
            // Numbers, texts and ordered maps: JSON writes them in one way, and never fails.
            field(&serde_json::to_vec(shaping).unwrap_or_default());
        }
        let prompt: Vec<u8> = self.prompt_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        field(&prompt);
        field(match self.finish {
            Finish::Stop => b"stop",
            Finish::Length => b"length",
        });
        bytes
    }
}

/// A log-probability as an answer records it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturating: 64 nats below certainty all are the same surprise"
)]
pub(super) fn quantised(logprob: f32) -> u16 {
    (-logprob * LOGPROB_STEPS).round_ties_even() as u16
}

/// Nats between two recorded log-probabilities.
pub(super) fn nats_apart(a: u16, b: u16) -> f64 {
    f64::from(a.abs_diff(b)) / f64::from(LOGPROB_STEPS)
}

fn leaf(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// Pairs level by level; an odd last node moves up unchanged.
fn root(mut level: Vec<[u8; 32]>) -> [u8; 32] {
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => {
                    let node = Sha256::new().chain_update([1]).chain_update(left);
                    node.chain_update(right).finalize().into()
                }
                rest => rest[0],
            })
            .collect();
    }
    level.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{fingerprint::Sketch, states::States},
        *,
    };
    use crate::{NumericClass, Timing};

    fn answer() -> Answer {
        let zero: Sketch = serde_json::from_value("00".repeat(Sketch::BYTES).into()).unwrap();
        let states = Some(States::Sketches(vec![zero; 9]));
        let completion = Completion {
            token_ids: (0..70).collect(),
            text: String::new(),
            logprobs: vec![-0.5; 70],
            states,
            finish: Finish::Length,
            likeliest: Vec::new(),
            cached_tokens: 0,
            prompt_tokens: 2,
            timing: Timing::default(),
        };
        let model = ModelId { digest: [7; 32], class: NumericClass::F32 };
        let binding = Binding {
            nonce: Bytes32([1; 32]),
            hotkey: Bytes32([2; 32]),
            request: Bytes32([3; 32]),
        };
        let seed = binding.seed();
        let sampler = Sampler::Seeded { temperature: 0.8, seed, binding: Some(binding) };
        let server = Side { model, engine: "e".to_owned() };
        Answer::record(server, sampler, vec![5, 6], &completion).unwrap()
    }

    fn parsed(edit: impl FnOnce(&mut Answer)) -> Result<Answer, AnswerError> {
        let mut answer = answer();
        edit(&mut answer);
        Answer::parse(&serde_json::to_vec(&answer).unwrap())
    }

    #[test]
    fn an_answer_survives_its_file() {
        assert_eq!(parsed(|_| ()).unwrap(), answer());
        assert_eq!(Scheme::ALL.map(leaf_bytes), [128, 322]);
    }

    #[test]
    fn whatever_is_altered_is_named() {
        assert!(matches!(parsed(|a| a.completion_ids[69] = 1), Err(AnswerError::Root { .. })));
        assert!(matches!(parsed(|a| a.logprobs[3] = 1), Err(AnswerError::Root { .. })));
        assert!(matches!(parsed(|a| a.prompt_ids[0] = 9), Err(AnswerError::Root { .. })));
        assert!(matches!(parsed(|a| a.finish = Finish::Stop), Err(AnswerError::Root { .. })));
        assert!(matches!(parsed(|a| a.engine.push('x')), Err(AnswerError::Root { .. })));
        assert!(matches!(parsed(|a| a.format.push('x')), Err(AnswerError::Format { .. })));
        assert!(matches!(
            parsed(|a| a.completion_ids.truncate(40)),
            Err(AnswerError::Lengths { what: "log-probabilities", found: 70, wanted: 40, .. })
        ));
        let reseeded = parsed(|a| {
            if let Sampler::Seeded { seed, .. } = &mut a.sampler {
                *seed += 1;
            }
            a.root = a.compute_root();
        });
        assert!(matches!(reseeded, Err(AnswerError::Seed { .. })));
    }

    #[test]
    fn cut_off_and_foreign_files_are_told_apart() {
        let bytes = serde_json::to_vec(&answer()).unwrap();
        assert!(matches!(Answer::parse(&bytes[..200]), Err(AnswerError::Truncated { .. })));
        assert!(matches!(Answer::parse(b"{}"), Err(AnswerError::Json(_))));
        assert!(matches!(Answer::parse(b"GGUF"), Err(AnswerError::Json(_))));
        assert!(matches!(Answer::parse(b""), Err(AnswerError::Truncated { .. })));
    }

    #[test]
    fn the_root_depends_on_every_part_and_not_on_the_signature() {
        let plain = answer();
        let signed = answer().signed_by([4; 32], |_| [5; 64]);
        assert_eq!(signed.root, plain.root);
        assert!(signed.check().is_ok());
    }
}
