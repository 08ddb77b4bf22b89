//! The worker's loop: admit, pick a step's tokens, run them, hand out what came of it.

use std::{sync::Arc, time::Duration};

use candle_core::{Device, Tensor};
use tokio::sync::{mpsc, oneshot};

use super::{
    Audit, Clock, Completion, EngineError, EngineOptions, Event, Finish, Job, Timing,
    check::{TokenCheck, logprob},
};
use crate::{
    evidence::Sketcher,
    kv::KvStore,
    model::{Model, Segment},
    sample::Sampling,
    tokenizer::TextStream,
};

/// Rows of logits held at once: 49 152 words of f32 take 6 MB.
const LOGIT_ROWS: usize = 32;

/// A job as the worker sees it: tokens to run, and what to make of the rows.
#[derive(Debug)]
pub(super) struct Task {
    tokens: Vec<u32>,
    prompt_tokens: usize,
    sampling: Sampling,
    clock: Clock,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Generate(Generation),
    Rescore(Rescore),
}

#[derive(Debug)]
struct Rescore {
    claimed: Vec<u32>,
    checks: Vec<TokenCheck>,
    sketcher: Sketcher,
    reply: Option<Reply>,
}

type Reply = oneshot::Sender<Result<Audit, EngineError>>;
type Events = mpsc::Sender<Result<Event, EngineError>>;

#[derive(Debug)]
struct Generation {
    max_tokens: usize,
    stop: Vec<String>,
    ignore_end: bool,
    deadline: Option<Duration>,
    events: Events,
    stream: TextStream,
    text: String,
    logprobs: Vec<f32>,
    sketcher: Option<Sketcher>,
    timing: Timing,
}

impl Task {
    pub(super) fn generate(prompt: Vec<u32>, max_tokens: usize, job: Job, events: Events) -> Self {
        let generation = Generation {
            max_tokens,
            stop: job.stop,
            ignore_end: job.ignore_end,
            deadline: job.deadline,
            events,
            stream: TextStream::default(),
            text: String::new(),
            logprobs: Vec::new(),
            sketcher: job.sketch.then(|| Sketcher::new(job.sampling.seed())),
            timing: Timing::default(),
        };
        Self {
            prompt_tokens: prompt.len(),
            tokens: prompt,
            sampling: job.sampling,
            clock: Clock::start(),
            work: Work::Generate(generation),
        }
    }

    pub(super) fn rescore(
        prompt: Vec<u32>,
        claimed: &[u32],
        sampling: Sampling,
        reply: Reply,
    ) -> Self {
        let prompt_tokens = prompt.len();
        let mut tokens = prompt;
        // The last claimed token is judged by the row before it; its own row judges nothing.
        tokens.extend_from_slice(&claimed[..claimed.len() - 1]);
        let work = Rescore {
            claimed: claimed.to_vec(),
            checks: Vec::new(),
            sketcher: Sketcher::new(sampling.seed()),
            reply: Some(reply),
        };
        let work = Work::Rescore(work);
        Self { tokens, prompt_tokens, sampling, clock: Clock::start(), work }
    }

    /// Most tokens the sequence can come to.
    fn longest(&self) -> usize {
        match &self.work {
            Work::Generate(generation) => self.prompt_tokens + generation.max_tokens,
            Work::Rescore(_) => self.tokens.len(),
        }
    }

    /// True where nobody waits for the outcome.
    fn abandoned(&self) -> bool {
        match &self.work {
            Work::Generate(generation) => generation.events.is_closed(),
            Work::Rescore(Rescore { reply, .. }) => {
                reply.as_ref().is_none_or(oneshot::Sender::is_closed)
            }
        }
    }

    fn overdue(&self) -> bool {
        match &self.work {
            Work::Generate(Generation { deadline: Some(deadline), .. }) => {
                self.clock.elapsed() > *deadline
            }
            _ => false,
        }
    }

    fn fail(self, error: EngineError) {
        // A caller who has gone needs no answer.
        match self.work {
            Work::Generate(generation) => drop(generation.events.try_send(Err(error))),
            Work::Rescore(Rescore { reply, .. }) => drop(reply.map(|reply| reply.send(Err(error)))),
        }
    }
}

/// A task with its blocks.
#[derive(Debug)]
struct Running {
    task: Task,
    blocks: Vec<u32>,
    /// Tokens whose keys and values are in the store.
    computed: usize,
}

impl Running {
    /// Rows, counted from this step's first, whose logits the task needs.
    fn wanted(&self, step: usize) -> std::ops::Range<usize> {
        let end = self.computed + step;
        let first = match self.task.work {
            Work::Generate(_) => self.task.tokens.len() - 1,
            Work::Rescore(_) => self.task.prompt_tokens - 1,
        };
        first.max(self.computed).min(end) - self.computed..step
    }
}

pub(super) struct Worker {
    model: Arc<Model>,
    options: EngineOptions,
    inbox: mpsc::Receiver<Task>,
    kv: KvStore,
    running: Vec<Running>,
    /// Taken from the inbox, and waiting for blocks.
    next: Option<Task>,
}

impl Worker {
    pub(super) fn new(
        model: Arc<Model>,
        options: EngineOptions,
        inbox: mpsc::Receiver<Task>,
    ) -> Self {
        let kv =
            KvStore::new(model.config(), super::context(&model, options).max(options.kv_tokens));
        Self { model, options, inbox, kv, running: Vec::new(), next: None }
    }

    /// Serves until the engine is dropped.
    pub(super) fn run(mut self) {
        while self.admit() {
            self.retire();
            self.step();
        }
        let waiting = self.running.drain(..).map(|running| running.task).chain(self.next.take());
        waiting.for_each(|task| task.fail(EngineError::Stopped));
    }

    /// Takes tasks while there is room. Waits where nothing runs; false when the engine is gone.
    fn admit(&mut self) -> bool {
        while self.running.len() < self.options.sequences.max(1) {
            let task = match self.next.take() {
                Some(task) => task,
                None if self.running.is_empty() => match self.inbox.blocking_recv() {
                    Some(task) => task,
                    None => return false,
                },
                None => match self.inbox.try_recv() {
                    Ok(task) => task,
                    Err(mpsc::error::TryRecvError::Empty) => return true,
                    Err(mpsc::error::TryRecvError::Disconnected) => return false,
                },
            };
            let Some(blocks) = self.kv.take(KvStore::blocks_for(task.longest())) else {
                self.next = Some(task);
                return true;
            };
            self.start(task, blocks);
        }
        !self.inbox.is_closed()
    }

    fn start(&mut self, mut task: Task, blocks: Vec<u32>) {
        if let Work::Generate(generation) = &mut task.work {
            generation.timing.queued = task.clock.elapsed();
        }
        self.running.push(Running { task, blocks, computed: 0 });
    }

    /// Drops tasks that nobody waits for or that are late.
    fn retire(&mut self) {
        let mut index = 0;
        while index < self.running.len() {
            let task = &self.running[index].task;
            if task.abandoned() {
                self.remove(index);
            } else if task.overdue() {
                let task = self.remove(index);
                let tokens = task.tokens.len() - task.prompt_tokens;
                task.fail(EngineError::Deadline { tokens });
            } else {
                index += 1;
            }
        }
    }

    fn remove(&mut self, index: usize) -> Task {
        let Running { task, blocks, .. } = self.running.swap_remove(index);
        self.kv.give(blocks);
        task
    }

    /// Tokens of each running task for the next step: decodes first, then prefills in order of
    /// arrival, within the budget.
    fn plan(&self) -> Vec<usize> {
        let pending: Vec<usize> =
            self.running.iter().map(|r| r.task.tokens.len() - r.computed).collect();
        let decodes = pending.iter().filter(|&&tokens| tokens == 1).count();
        let mut budget = self.options.step_tokens.max(self.options.sequences).max(1) - decodes;
        pending
            .into_iter()
            .map(|tokens| {
                if tokens == 1 {
                    return 1;
                }
                let taken = tokens.min(budget);
                budget -= taken;
                taken
            })
            .collect()
    }

    fn step(&mut self) {
        let plan = self.plan();
        let outcome = self.forward(&plan).and_then(|hidden| self.digest(&plan, &hidden));
        match outcome {
            Ok(done) => {
                for index in done.into_iter().rev() {
                    self.remove(index);
                }
            }
            Err(error) => {
                // The step's tasks share its fate; the engine goes on.
                tracing::error!(%error, "a forward pass failed");
                while !self.running.is_empty() {
                    self.remove(0).fail(EngineError::Forward(error.to_string()));
                }
            }
        }
    }

    fn forward(&self, plan: &[usize]) -> candle_core::Result<Tensor> {
        let segments: Vec<Segment<'_>> = self
            .running
            .iter()
            .zip(plan)
            .filter(|(_, tokens)| **tokens > 0)
            .map(|(running, &tokens)| Segment {
                tokens: &running.task.tokens[running.computed..running.computed + tokens],
                start: running.computed,
                blocks: &running.blocks,
            })
            .collect();
        self.model.forward(&segments, &self.kv)
    }

    /// Turns hidden rows into draws and checks. Returns the indices of finished tasks, ascending.
    fn digest(&mut self, plan: &[usize], hidden: &Tensor) -> candle_core::Result<Vec<usize>> {
        let mut rows = Vec::new();
        let mut first = 0;
        for (index, (running, &step)) in self.running.iter_mut().zip(plan).enumerate() {
            let wanted = running.wanted(step);
            rows.extend(wanted.map(|row| (index, first + row)));
            running.computed += step;
            first += step;
        }
        let mut done = Vec::new();
        let (width, vocab) = (self.model.config().width, self.model.config().vocab);
        for part in rows.chunks(LOGIT_ROWS) {
            let picks: Vec<u32> =
                part.iter().map(|(_, row)| u32::try_from(*row).unwrap_or(u32::MAX)).collect();
            let picked = hidden.index_select(&Tensor::new(picks, &Device::Cpu)?, 0)?;
            let logits = self.model.logits(&picked)?;
            let hidden: Vec<f32> = picked.flatten_all()?.to_vec1()?;
            let rows = hidden.chunks_exact(width).zip(logits.chunks_exact(vocab));
            for ((index, _), (hidden, logits)) in part.iter().zip(rows) {
                if self.running[*index].task.accept(&self.model, hidden, logits) {
                    done.push(*index);
                }
            }
        }
        Ok(done)
    }
}

impl Task {
    /// Takes one row of hidden state and logits; true when the task is finished and answered.
    fn accept(&mut self, model: &Model, hidden: &[f32], logits: &[f32]) -> bool {
        let position = self.tokens.len() - self.prompt_tokens;
        match &mut self.work {
            Work::Generate(generation) => {
                let index = u32::try_from(position).unwrap_or(u32::MAX);
                let id = self.sampling.draw(logits, index);
                self.tokens.push(id);
                if let Some(sketcher) = &mut generation.sketcher {
                    sketcher.push(hidden);
                }
                let drawn =
                    Drawn { id, logprob: logprob(logits, id), elapsed: self.clock.elapsed() };
                let finished = generation.push(model, &drawn);
                if let Some(finish) = finished {
                    let ids = self.tokens[self.prompt_tokens..].to_vec();
                    generation.finish(ids, self.prompt_tokens, finish, self.clock);
                }
                finished.is_some()
            }
            Work::Rescore(rescore) => rescore.accept(&self.sampling, hidden, logits),
        }
    }
}

impl Rescore {
    fn accept(&mut self, sampling: &Sampling, hidden: &[f32], logits: &[f32]) -> bool {
        let index = self.checks.len();
        let position = u32::try_from(index).unwrap_or(u32::MAX);
        self.sketcher.push(hidden);
        self.checks.push(TokenCheck::new(logits, self.claimed[index], sampling, position));
        let finished = self.checks.len() == self.claimed.len();
        if finished && let Some(reply) = self.reply.take() {
            let checks = std::mem::take(&mut self.checks);
            let audit = Audit { checks, sketches: self.sketcher.finish() };
            // A caller who has gone needs no answer.
            drop(reply.send(Ok(audit)));
        }
        finished
    }
}

/// One drawn token.
struct Drawn {
    id: u32,
    logprob: f32,
    elapsed: Duration,
}

impl Generation {
    /// Adds a token and streams its text; says whether and why the completion ends.
    fn push(&mut self, model: &Model, drawn: &Drawn) -> Option<Finish> {
        if self.logprobs.is_empty() {
            self.timing.first_token = drawn.elapsed;
        }
        self.logprobs.push(drawn.logprob);
        let ended = !self.ignore_end && model.tokenizer().ends(drawn.id);
        let text = if ended {
            String::new()
        } else {
            // A token without text is one whose text shows later.
            self.stream.push(model.tokenizer(), drawn.id).unwrap_or_default()
        };
        self.text.push_str(&text);
        let stopped = self.cut_at_stop();
        let event = Event::Token { id: drawn.id, text, logprob: drawn.logprob };
        // The channel has room for every token; a caller who has gone is noticed before the next step.
        drop(self.events.try_send(Ok(event)));
        if ended || stopped {
            Some(Finish::Stop)
        } else if self.logprobs.len() == self.max_tokens {
            Some(Finish::Length)
        } else {
            None
        }
    }

    /// Cuts the text at the first stop text, if any is complete.
    fn cut_at_stop(&mut self) -> bool {
        let cut = self.stop.iter().filter_map(|stop| self.text.find(stop.as_str())).min();
        if let Some(cut) = cut {
            self.text.truncate(cut);
        }
        cut.is_some()
    }

    fn finish(&mut self, token_ids: Vec<u32>, prompt: usize, finish: Finish, clock: Clock) {
        self.timing.total = clock.elapsed();
        let completion = Completion {
            token_ids,
            text: std::mem::take(&mut self.text),
            logprobs: std::mem::take(&mut self.logprobs),
            sketches: self.sketcher.as_mut().map(Sketcher::finish).unwrap_or_default(),
            finish,
            prompt_tokens: u32::try_from(prompt).unwrap_or(u32::MAX),
            timing: self.timing,
        };
        // A caller who has gone needs no answer.
        drop(self.events.try_send(Ok(Event::Done(completion))));
    }
}
