//! The engine: one worker thread that serves every job of a model together.

mod check;
mod queue;
mod worker;

use std::{
    sync::{Arc, OnceLock, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

pub use check::TokenCheck;
pub(crate) use check::{likeliest, logprob};
pub use queue::Share;

use crate::{
    device::DeviceError,
    evidence::{Scheme, States},
    form::{FormError, Forms},
    id::ModelId,
    kernel::BLOCK_TOKENS,
    model::Model,
    sample::Sampling,
    shaping::{Shaper, Shaping, ShapingError},
    tokenizer::{Chat, Message, TokenizerError},
};

/// Most stop strings of a job, as in the `OpenAI` API.
pub const MAX_STOPS: usize = 4;

/// Most alternatives named beside a token, as in the `OpenAI` API.
pub const MAX_ALTERNATIVES: usize = 20;

/// Longest prompt text accepted, in bytes, before it is tokenised.
pub const MAX_PROMPT_BYTES: usize = 1 << 20;

/// Bounds of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Jobs that may wait; one more is refused with [`EngineError::Busy`].
    pub queue: usize,
    /// Sequences that share a step.
    pub sequences: usize,
    /// Tokens computed in one step, over all sequences.
    pub step_tokens: usize,
    /// Tokens of keys and values held, over all sequences. Memory is taken as it is used.
    pub kv_tokens: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { queue: 64, sequences: 16, step_tokens: 256, kv_tokens: 16_384 }
    }
}

/// What to continue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prompt {
    /// Plain text.
    Text(String),
    /// A conversation, rendered by the model's chat template.
    Chat(Vec<Message>),
    /// A conversation with everything that a chat template may be given: tools, calls, arguments.
    Conversation(Box<Chat>),
    /// Exact token ids.
    Tokens(Vec<u32>),
}

impl From<Vec<u32>> for Prompt {
    fn from(ids: Vec<u32>) -> Self {
        Self::Tokens(ids)
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A completion to compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// What to continue.
    pub prompt: Prompt,
    /// Most tokens to generate, the one that ends the completion included.
    pub max_tokens: u32,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// What is done to the distribution first; nothing by default.
    pub shaping: Shaping,
    /// Texts that end the completion; they are cut off it. At most [`MAX_STOPS`].
    pub stop: Vec<String>,
    /// Go on after tokens that would end the completion, as benchmarks and open answers need.
    pub ignore_end: bool,
    /// Fingerprint the hidden states, for evidence.
    pub fingerprint: Option<Scheme>,
    /// How many of the likeliest tokens to name beside each drawn one; at most
    /// [`MAX_ALTERNATIVES`].
    pub alternatives: usize,
    /// Whose job it is: callers share the engine fairly.
    pub share: Share,
    /// Time after which the job ends with what there is, as at `max_tokens`, queueing included; without
    /// a token it fails with [`EngineError::Deadline`].
    pub deadline: Option<Duration>,
}

impl Job {
    /// A job without stop texts or deadline.
    pub fn new(prompt: impl Into<Prompt>, max_tokens: u32, sampling: Sampling) -> Self {
        Self {
            prompt: prompt.into(),
            max_tokens,
            sampling,
            shaping: Shaping::default(),
            stop: Vec::new(),
            ignore_end: false,
            fingerprint: None,
            alternatives: 0,
            share: Share::default(),
            deadline: None,
        }
    }
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended it, or a stop text did.
    Stop,
    /// `max_tokens`, the model's context or the job's time is used up.
    Length,
}

/// How long a job took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From submission to the first step.
    pub queued: Duration,
    /// From submission to the first token.
    pub first_token: Duration,
    /// From submission to the end.
    pub total: Duration,
}

/// A finished completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Generated ids, the one that ended the completion included.
    pub token_ids: Vec<u32>,
    /// Their text, without special tokens and stop texts.
    pub text: String,
    /// Log-probability of each token, in nats, under softmax(logits).
    pub logprobs: Vec<f32>,
    /// For each token the likeliest ones in its place and their log-probabilities; empty unless
    /// [`Job::alternatives`] asked for them.
    pub likeliest: Vec<Vec<(u32, f32)>>,
    /// Tokens of the prompt that were computed for an earlier one.
    pub cached_tokens: u32,
    /// What [`Job::fingerprint`] asked for of the hidden states.
    pub states: Option<States>,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// How long it took.
    pub timing: Timing,
}

impl Completion {
    /// One that ran out of time before it began.
    pub fn none() -> Self {
        Self {
            token_ids: Vec::new(),
            text: String::new(),
            logprobs: Vec::new(),
            likeliest: Vec::new(),
            cached_tokens: 0,
            states: None,
            finish: Finish::Length,
            prompt_tokens: 0,
            timing: Timing::default(),
        }
    }
}

/// A claimed completion held against the model's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// One check for each claimed token.
    pub checks: Vec<TokenCheck>,
    /// What the pass shows of the hidden states that draw them.
    pub states: States,
}

/// What a stream yields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// One more token.
    Token {
        /// Its id.
        id: u32,
        /// Text that it completes; empty while a character, or what may be a stop text, is unfinished.
        text: String,
        /// Its log-probability, in nats.
        logprob: f32,
        /// The likeliest tokens in its place, as [`Job::alternatives`] asks.
        likeliest: Vec<(u32, f32)>,
    },
    /// The end.
    Done(Completion),
}

/// A job that was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Every place in the queue is taken: try again later.
    #[error("{queue} jobs are waiting already")]
    Busy {
        /// Places in the queue.
        queue: usize,
    },
    /// The engine was shut down.
    #[error("the engine has stopped")]
    Stopped,
    /// The deadline passed before there was anything to hand out.
    #[error("the deadline passed after {tokens} tokens")]
    Deadline {
        /// Tokens generated by then: none, where a completion was asked for.
        tokens: usize,
    },
    /// A distribution that cannot be shaped so.
    #[error(transparent)]
    Shaping(#[from] ShapingError),
    /// A form that turned out too complex on the way.
    #[error("the form cannot be followed any further: {0}")]
    Form(String),
    /// Nothing to continue.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// Nothing to generate or to check.
    #[error("a job asks for no tokens")]
    NoTokens,
    /// More text than is tokenised.
    #[error("the prompt has {bytes} bytes, more than {MAX_PROMPT_BYTES}")]
    PromptBytes {
        /// Its length.
        bytes: usize,
    },
    /// More tokens than the model's context or the engine's memory holds.
    #[error("{tokens} tokens do not fit the context of {context}")]
    TooLong {
        /// Tokens of the job.
        tokens: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// A token id beyond the vocabulary.
    #[error("token {token} is not below the vocabulary's {vocab}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// Words of the model.
        vocab: usize,
    },
    /// Too many stop texts, or an empty one.
    #[error("a job takes at most {MAX_STOPS} stop texts, none of them empty")]
    Stops,
    /// The prompt does not tokenise.
    #[error("the prompt does not tokenise")]
    Tokenizer(#[from] TokenizerError),
    /// The forward pass failed.
    #[error("the forward pass failed: {0}")]
    Forward(String),
    /// The device refused or lost something; jobs that need no device are not affected.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Nothing can be drawn: the weights or the device are at fault, not the prompt.
    #[error("{logits} of a row's logits are NaN or infinite")]
    NotFinite {
        /// How many.
        logits: usize,
    },
}

/// Serves one model. Dropping it stops the worker after the current step.
#[derive(Debug)]
pub struct Engine {
    model: Arc<Model>,
    options: EngineOptions,
    inbox: Option<mpsc::UnboundedSender<worker::Task>>,
    /// Places of the queue; a waiting task holds one.
    places: Arc<Semaphore>,
    gauges: Arc<worker::Gauges>,
    worker: Option<thread::JoinHandle<()>>,
    /// The words that forms are compiled against, once one is.
    forms: OnceLock<Result<Forms, FormError>>,
}

impl Engine {
    /// Starts the worker thread for a model on this machine's processors.
    ///
    /// # Panics
    /// Where the operating system grants no thread, or a device no memory: for a model on a device
    /// there is [`Engine::open`].
    pub fn start(model: impl Into<Arc<Model>>, options: EngineOptions) -> Self {
        Self::open(model, options).expect("the processors refuse no engine")
    }

    /// Starts the worker thread.
    ///
    /// # Errors
    /// Where the model's device has too little memory for `options`, or is lost.
    ///
    /// # Panics
    /// Where the operating system grants no thread.
    pub fn open(model: impl Into<Arc<Model>>, options: EngineOptions) -> Result<Self, EngineError> {
        let model = model.into();
        // Bounded by the places, which tasks hold while they wait.
        let (inbox, tasks) = mpsc::unbounded_channel();
        let gauges = Arc::<worker::Gauges>::default();
        let worker = worker::Worker::new(Arc::clone(&model), options, tasks, Arc::clone(&gauges))?;
        let worker = thread::Builder::new()
            .name("inference".to_owned())
            .spawn(move || worker.run())
            .expect("a thread for the engine");
        let places = Arc::new(Semaphore::new(options.queue.max(1)));
        let (inbox, worker, forms) = (Some(inbox), Some(worker), OnceLock::new());
        Ok(Self { model, options, inbox, places, gauges, worker, forms })
    }

    /// What is served.
    pub fn model_id(&self) -> ModelId {
        self.model.id()
    }

    /// The model's name in tables.
    pub fn name(&self) -> &str {
        self.model.name()
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model, for another engine of it.
    pub fn shared_model(&self) -> Arc<Model> {
        Arc::clone(&self.model)
    }

    /// Longest sequence served, prompt and completion together.
    pub fn context(&self) -> usize {
        context(&self.model, self.options)
    }

    /// Computes a completion.
    pub async fn generate(&self, job: Job) -> Result<Completion, EngineError> {
        let mut stream = self.stream(job)?;
        loop {
            match stream.next().await? {
                Event::Token { .. } => {}
                Event::Done(completion) => return Ok(completion),
            }
        }
    }

    /// Computes a completion, token by token. Dropping the stream cancels the job.
    pub fn stream(&self, job: Job) -> Result<Stream, EngineError> {
        // Before anything is spent on the job: under overload most are refused.
        let place = self.place()?;
        let prompt = self.tokens(&job.prompt)?;
        if job.max_tokens == 0 {
            return Err(EngineError::NoTokens);
        }
        if job.stop.len() > MAX_STOPS || job.stop.iter().any(String::is_empty) {
            return Err(EngineError::Stops);
        }
        let context = self.context();
        if prompt.len() >= context {
            return Err(EngineError::TooLong { tokens: prompt.len() + 1, context });
        }
        let max_tokens = (job.max_tokens as usize).min(context - prompt.len());
        let shaper = self.shaper(&job.shaping, &prompt)?;
        let (events, stream) = mpsc::channel(max_tokens + 1);
        self.submit(worker::Task::generate(prompt, max_tokens, job, shaper, events, place))?;
        Ok(Stream { events: stream })
    }

    /// Re-reads a completion that someone claims to have drawn with `sampling`: one prefill, and for
    /// each token what this model would have drawn in its place and how far behind the claimed one is.
    pub async fn rescore(
        &self,
        prompt: &Prompt,
        token_ids: &[u32],
        sampling: &Sampling,
    ) -> Result<Vec<TokenCheck>, EngineError> {
        Ok(self.audit(prompt, token_ids, sampling, Scheme::default()).await?.checks)
    }

    /// As [`Engine::rescore`], with what `scheme` looks at of the hidden states of the same prefill.
    pub async fn audit(
        &self,
        prompt: &Prompt,
        token_ids: &[u32],
        sampling: &Sampling,
        scheme: Scheme,
    ) -> Result<Audit, EngineError> {
        self.audit_shaped(prompt, token_ids, sampling, &Shaping::default(), scheme).await
    }

    /// As [`Engine::audit`], of a completion that was drawn from a distribution shaped so.
    pub async fn audit_shaped(
        &self,
        prompt: &Prompt,
        token_ids: &[u32],
        sampling: &Sampling,
        shaping: &Shaping,
        scheme: Scheme,
    ) -> Result<Audit, EngineError> {
        let place = self.place()?;
        let prompt = self.tokens(prompt)?;
        self.check_vocabulary(token_ids)?;
        if token_ids.is_empty() {
            return Err(EngineError::NoTokens);
        }
        let (tokens, context) = (prompt.len() + token_ids.len(), self.context());
        if tokens > context {
            return Err(EngineError::TooLong { tokens, context });
        }
        let shaper = self.shaper(shaping, &prompt)?;
        let (reply, audit) = tokio::sync::oneshot::channel();
        let claim = worker::Claim { token_ids, sampling: *sampling, shaper, scheme };
        self.submit(worker::Task::rescore(prompt, claim, reply, place))?;
        audit.await.map_err(|_| EngineError::Stopped)?
    }

    /// What follows a text and shapes its rows; `None` where nothing is asked.
    fn shaper(&self, shaping: &Shaping, prompt: &[u32]) -> Result<Option<Shaper>, EngineError> {
        if shaping.is_neutral() {
            return Ok(None);
        }
        let vocab = self.model.config().vocab;
        shaping.check(vocab)?;
        let matcher = match &shaping.form {
            None => None,
            Some(form) => {
                let forms = self.forms.get_or_init(|| Forms::new(self.model.tokenizer(), vocab));
                let compiled = forms.as_ref().map_err(Clone::clone).and_then(|f| f.compile(form));
                Some(compiled.map_err(ShapingError::from)?)
            }
        };
        Ok(Some(Shaper::new(shaping.clone(), prompt, matcher)))
    }

    /// Token ids of a prompt, as a job would run them.
    pub fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, EngineError> {
        let bytes = match prompt {
            Prompt::Text(text) => text.len(),
            Prompt::Chat(messages) => messages.iter().map(|m| m.content.len()).sum(),
            Prompt::Conversation(chat) => chat.bytes(),
            Prompt::Tokens(_) => 0,
        };
        if bytes > MAX_PROMPT_BYTES {
            return Err(EngineError::PromptBytes { bytes });
        }
        let tokens = match prompt {
            Prompt::Text(text) => self.model.tokenizer().encode(text)?,
            Prompt::Chat(messages) => self.model.tokenizer().encode_chat(messages)?,
            Prompt::Conversation(chat) => self.model.tokenizer().encode_conversation(chat)?,
            Prompt::Tokens(ids) => ids.clone(),
        };
        self.check_vocabulary(&tokens)?;
        if tokens.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        Ok(tokens)
    }

    /// Text of token ids, without special tokens; invalid UTF-8 is replaced.
    pub fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        self.check_vocabulary(ids)?;
        Ok(self.model.tokenizer().decode(ids)?)
    }

    /// True for the ids that end a completion.
    pub fn ends(&self, id: u32) -> bool {
        self.model.tokenizer().ends(id)
    }

    fn check_vocabulary(&self, tokens: &[u32]) -> Result<(), EngineError> {
        let vocab = self.model.config().vocab;
        match tokens.iter().find(|&&token| token as usize >= vocab) {
            Some(&token) => Err(EngineError::UnknownToken { token, vocab }),
            None => Ok(()),
        }
    }

    /// How busy the engine is.
    pub fn load(&self) -> Load {
        let read = |gauge: &std::sync::atomic::AtomicUsize| gauge.load(Ordering::Relaxed);
        let queue = self.options.queue.max(1);
        Load {
            running: read(&self.gauges.running),
            waiting: queue - self.places.available_permits(),
            queue,
            kv_blocks: read(&self.gauges.blocks),
            kv_blocks_used: read(&self.gauges.used_blocks),
            cached_tokens: read(&self.gauges.cached_tokens),
            preemptions: read(&self.gauges.preemptions),
        }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let queue = self.options.queue.max(1);
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| EngineError::Busy { queue })
    }

    fn submit(&self, task: worker::Task) -> Result<(), EngineError> {
        let inbox = self.inbox.as_ref().ok_or(EngineError::Stopped)?;
        inbox.send(task).map_err(|_| EngineError::Stopped)
    }
}

/// How busy an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Sequences under way.
    pub running: usize,
    /// Jobs that wait.
    pub waiting: usize,
    /// Jobs that may wait.
    pub queue: usize,
    /// Blocks of the key–value store.
    pub kv_blocks: usize,
    /// Blocks that sequences under way hold.
    pub kv_blocks_used: usize,
    /// Tokens that did not have to be computed, since the start.
    pub cached_tokens: usize,
    /// Sequences that had to step back for want of blocks, since the start.
    pub preemptions: usize,
}

/// Tokens of the longest sequence: the model's context, or what the store holds.
fn context(model: &Model, options: EngineOptions) -> usize {
    model.config().context.min(options.kv_tokens / BLOCK_TOKENS * BLOCK_TOKENS)
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.inbox.take());
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("the engine's worker panicked");
        }
    }
}

/// A completion in progress.
#[derive(Debug)]
pub struct Stream {
    events: mpsc::Receiver<Result<Event, EngineError>>,
}

impl Stream {
    /// The next event; [`Event::Done`] is the last.
    pub async fn next(&mut self) -> Result<Event, EngineError> {
        self.events.recv().await.unwrap_or(Err(EngineError::Stopped))
    }
}

/// Since when a job waits.
#[derive(Clone, Copy, Debug)]
struct Clock {
    submitted: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { submitted: Instant::now() }
    }

    fn elapsed(self) -> Duration {
        self.submitted.elapsed()
    }
}
