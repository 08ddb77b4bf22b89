//! The worker's loop: admit, pick a step's tokens, run them, hand out what came of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    Audit, Clock, Completion, EngineError, EngineOptions, Event, Finish, Job, MAX_ALTERNATIVES,
    Timing,
    check::TokenCheck,
    queue::{FairQueue, Share},
};
use crate::{
    device::DeviceError,
    evidence::{Observer, Scheme},
    kernel::BLOCK_TOKENS,
    kv::{Blocks, Name},
    model::{Fault, Model, Runner, Said, Segment, Verdict, Wanted},
    sample::Sampling,
    shaping::Shaper,
    tokenizer::TextStream,
};

/// What the worker says of itself, for metrics.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) running: AtomicUsize,
    pub(super) blocks: AtomicUsize,
    pub(super) used_blocks: AtomicUsize,
    pub(super) cached_tokens: AtomicUsize,
    pub(super) preemptions: AtomicUsize,
}

/// A job as the worker sees it: tokens to run, and what to make of the rows.
#[derive(Debug)]
pub(super) struct Task {
    tokens: Vec<u32>,
    prompt_tokens: usize,
    sampling: Sampling,
    shaper: Option<Shaper>,
    share: Share,
    /// The place in the queue, until the task starts.
    place: Option<OwnedSemaphorePermit>,
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
    observer: Observer,
    reply: Option<Reply>,
}

/// A completion that someone claims, and how it is said to be drawn.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) token_ids: &'a [u32],
    pub(super) sampling: Sampling,
    pub(super) shaper: Option<Shaper>,
    pub(super) scheme: Scheme,
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
    /// How many of the likeliest tokens to name beside each drawn one, and those named.
    alternatives: usize,
    likeliest: Vec<Vec<(u32, f32)>>,
    /// Bytes of `text` handed out.
    shown: usize,
    /// Tokens that were in the store already at the start.
    cached: usize,
    observer: Option<Observer>,
    timing: Timing,
}

impl Task {
    pub(super) fn generate(
        prompt: Vec<u32>,
        max_tokens: usize,
        job: Job,
        shaper: Option<Shaper>,
        events: Events,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let generation = Generation {
            max_tokens,
            stop: job.stop,
            ignore_end: job.ignore_end,
            deadline: job.deadline,
            events,
            stream: TextStream::default(),
            text: String::new(),
            logprobs: Vec::new(),
            alternatives: job.alternatives.min(MAX_ALTERNATIVES),
            likeliest: Vec::new(),
            shown: 0,
            cached: 0,
            observer: job.fingerprint.map(|scheme| Observer::new(scheme, job.sampling.seed())),
            timing: Timing::default(),
        };
        Self {
            prompt_tokens: prompt.len(),
            tokens: prompt,
            sampling: job.sampling,
            shaper,
            share: job.share,
            place: Some(place),
            clock: Clock::start(),
            work: Work::Generate(generation),
        }
    }

    pub(super) fn rescore(
        prompt: Vec<u32>,
        claim: Claim<'_>,
        reply: Reply,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let Claim { token_ids: claimed, sampling, shaper, scheme } = claim;
        let prompt_tokens = prompt.len();
        let mut tokens = prompt;
        // The last claimed token is judged by the row before it; its own row judges nothing.
        tokens.extend_from_slice(&claimed[..claimed.len() - 1]);
        let work = Rescore {
            claimed: claimed.to_vec(),
            checks: Vec::new(),
            observer: Observer::new(scheme, sampling.seed()),
            reply: Some(reply),
        };
        let work = Work::Rescore(work);
        let share = Share::default();
        let (clock, place) = (Clock::start(), Some(place));
        Self { tokens, prompt_tokens, sampling, shaper, share, place, clock, work }
    }

    /// Notes that the task leaves the queue, with so many tokens known already.
    fn started(&mut self, cached: usize) {
        self.place = None;
        if let Work::Generate(generation) = &mut self.work
            && generation.timing.queued.is_zero()
        {
            generation.timing.queued = self.clock.elapsed();
            generation.cached = cached;
        }
    }

    /// First row whose logits are still needed.
    fn first_wanted(&self) -> usize {
        match &self.work {
            Work::Generate(_) => self.tokens.len() - 1,
            Work::Rescore(rescore) => self.prompt_tokens - 1 + rescore.checks.len(),
        }
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

    /// Ends a task whose time is up: with what there is.
    fn run_out(mut self) {
        let drawn = self.tokens.split_off(self.prompt_tokens.min(self.tokens.len()));
        match &mut self.work {
            Work::Generate(generation) if !drawn.is_empty() => {
                generation.finish(drawn, self.prompt_tokens, Finish::Length, self.clock);
            }
            _ => self.fail(EngineError::Deadline { tokens: drawn.len() }),
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
    /// Full blocks that have their name, and the last of these names.
    named: (usize, Name),
}

impl Running {
    /// Rows, counted from this step's first, whose logits the task needs.
    fn wanted(&self, step: usize) -> std::ops::Range<usize> {
        let end = self.computed + step;
        self.task.first_wanted().max(self.computed).min(end) - self.computed..step
    }

    /// Names the blocks that became full.
    fn publish(&mut self, blocks: &mut Blocks) {
        while (self.named.0 + 1) * BLOCK_TOKENS <= self.computed {
            let (index, last) = self.named;
            let tokens = &self.task.tokens[index * BLOCK_TOKENS..(index + 1) * BLOCK_TOKENS];
            let name = last.then(tokens);
            blocks.publish(self.blocks[index], name);
            self.named = (index + 1, name);
        }
    }
}

pub(super) struct Worker {
    model: Arc<Model>,
    options: EngineOptions,
    inbox: mpsc::UnboundedReceiver<Task>,
    runner: Runner,
    blocks: Blocks,
    waiting: FairQueue<Task>,
    /// In order of start.
    running: Vec<Running>,
    gauges: Arc<Gauges>,
}

impl Worker {
    pub(super) fn new(
        model: Arc<Model>,
        options: EngineOptions,
        inbox: mpsc::UnboundedReceiver<Task>,
        gauges: Arc<Gauges>,
    ) -> Result<Self, DeviceError> {
        let runner = model.runner(options)?;
        let blocks = Blocks::new(runner.blocks());
        gauges.blocks.store(blocks.count(), Ordering::Relaxed);
        let (waiting, running) = (FairQueue::default(), Vec::new());
        Ok(Self { model, options, inbox, runner, blocks, waiting, running, gauges })
    }

    /// Serves until the engine is dropped.
    pub(super) fn run(mut self) {
        while self.listen() {
            self.retire();
            self.admit();
            self.step();
            self.report();
        }
        let running = self.running.drain(..).map(|running| running.task);
        let waiting = std::iter::from_fn(|| self.waiting.pop());
        running.chain(waiting).for_each(|task| task.fail(EngineError::Stopped));
    }

    /// Takes in what has arrived. Waits where there is nothing to do; false when the engine is gone.
    fn listen(&mut self) -> bool {
        if self.running.is_empty() && self.waiting.is_empty() {
            match self.inbox.blocking_recv() {
                Some(task) => self.enqueue(task),
                None => return false,
            }
        }
        loop {
            match self.inbox.try_recv() {
                Ok(task) => self.enqueue(task),
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn enqueue(&mut self, task: Task) {
        let (share, tokens) = (task.share, task.longest());
        self.waiting.push(task, share, tokens);
    }

    /// Starts waiting tasks while there are seats, and blocks for their prompts.
    fn admit(&mut self) {
        while self.running.len() < self.options.sequences.max(1) {
            let Some(task) = self.waiting.peek() else { return };
            let known = self.known_prefix(task);
            let needed = Blocks::for_tokens(task.tokens.len()) - known.len();
            let idle = known.iter().filter(|name| self.blocks.is_idle(**name)).count();
            // A known block that nobody holds is one of the available ones.
            if needed + idle > self.blocks.available() {
                return;
            }
            if let Some(task) = self.waiting.pop() {
                self.start(task, &known);
            }
        }
    }

    /// Names of the leading blocks that need not be computed: those before the first wanted row.
    fn known_prefix(&self, task: &Task) -> Vec<Name> {
        let mut name = Name::default();
        let prefix = &task.tokens[..task.first_wanted()];
        let names = prefix.chunks_exact(BLOCK_TOKENS).map(|tokens| {
            name = name.then(tokens);
            name
        });
        names.take_while(|name| self.blocks.knows(*name)).collect()
    }

    fn start(&mut self, mut task: Task, known: &[Name]) {
        let blocks: Vec<u32> = known.iter().map_while(|name| self.blocks.share(*name)).collect();
        let computed = blocks.len() * BLOCK_TOKENS;
        task.started(computed);
        self.gauges.cached_tokens.fetch_add(computed, Ordering::Relaxed);
        let named = (blocks.len(), known.last().copied().unwrap_or_default());
        self.running.push(Running { task, blocks, computed, named });
    }

    /// Drops tasks that nobody waits for or that are late, running or not.
    fn retire(&mut self) {
        let mut gone = self.waiting.extract(|task| task.abandoned() || task.overdue());
        let mut index = 0;
        while index < self.running.len() {
            let task = &self.running[index].task;
            if task.abandoned() || task.overdue() {
                gone.push(self.remove(index));
            } else {
                index += 1;
            }
        }
        gone.into_iter().for_each(Task::run_out);
    }

    fn remove(&mut self, index: usize) -> Task {
        let Running { task, blocks, .. } = self.running.remove(index);
        for block in blocks {
            self.blocks.give(block);
        }
        task
    }

    /// Gives each planned task the blocks of its step. Where they run out, the task that started last
    /// steps back, and computes its tokens anew when it is next; the plan shortens accordingly.
    fn grow(&mut self, plan: &mut Vec<usize>) {
        let mut index = 0;
        while index < self.running.len() {
            let running = &self.running[index];
            let wanted = Blocks::for_tokens(running.computed + plan[index]);
            let missing = wanted.saturating_sub(running.blocks.len());
            if missing <= self.blocks.available() {
                for _ in 0..missing {
                    self.running[index].blocks.extend(self.blocks.take());
                }
                index += 1;
                continue;
            }
            plan.pop();
            let task = self.remove(plan.len());
            self.gauges.preemptions.fetch_add(1, Ordering::Relaxed);
            self.waiting.step_back(task);
        }
    }

    fn report(&self) {
        let used = self.blocks.count() - self.blocks.available();
        self.gauges.running.store(self.running.len(), Ordering::Relaxed);
        self.gauges.used_blocks.store(used, Ordering::Relaxed);
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
        let mut plan = self.plan();
        self.grow(&mut plan);
        if plan.is_empty() {
            return;
        }
        let (askers, questions): (Vec<usize>, Vec<Wanted>) = self.wanted(&plan).into_iter().unzip();
        match self.run_step(&plan, &questions) {
            Ok(said) => self.digest(&plan, askers.into_iter().zip(said).collect()),
            Err(fault) => {
                // The step's tasks share its fate; the engine goes on.
                tracing::error!(?fault, "a step failed");
                while !self.running.is_empty() {
                    self.remove(0).fail(fault.clone().into());
                }
            }
        }
    }

    /// The rows of a step that somebody waits for, with the index of who does.
    fn wanted(&mut self, plan: &[usize]) -> Vec<(usize, Wanted)> {
        let mut wanted = Vec::new();
        let mut first = 0;
        for (index, (running, &step)) in self.running.iter_mut().zip(plan).enumerate() {
            let rows = running.wanted(step).enumerate();
            wanted.extend(rows.map(|(nth, row)| (index, running.task.wants(nth, first + row))));
            first += step;
        }
        wanted
    }

    fn run_step(&mut self, plan: &[usize], wanted: &[Wanted]) -> Result<Vec<Said>, Fault> {
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
        self.runner.step(&segments, wanted)
    }

    /// Notes what was computed, hands out what the rows say, and lets finished tasks go.
    fn digest(&mut self, plan: &[usize], said: Vec<(usize, Said)>) {
        for (running, &step) in self.running.iter_mut().zip(plan) {
            running.computed += step;
            running.publish(&mut self.blocks);
        }
        let mut done: Vec<(usize, Option<EngineError>)> = Vec::new();
        for (index, said) in said {
            if done.last().is_some_and(|(last, _)| *last == index) {
                continue;
            }
            match self.running[index].task.accept(&self.model, said) {
                Ok(false) => {}
                Ok(true) => done.push((index, None)),
                Err(error) => done.push((index, Some(error))),
            }
        }
        for (index, error) in done.into_iter().rev() {
            let task = self.remove(index);
            if let Some(error) = error {
                task.fail(error);
            }
        }
    }
}

impl From<Fault> for EngineError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Forward(reason) => Self::Forward(reason),
            Fault::Device(error) => Self::Device(error),
        }
    }
}

impl Task {
    /// What the task wants of the step's row `row`, its `nth` wanted one.
    fn wants(&mut self, nth: usize, row: usize) -> Wanted {
        let drawn = self.tokens.len() - self.prompt_tokens;
        let (index, claimed, alternatives, hidden) = match &self.work {
            Work::Generate(generation) => {
                (drawn, None, generation.alternatives, generation.observer.is_some())
            }
            Work::Rescore(rescore) => {
                let index = rescore.checks.len() + nth;
                (index, Some(rescore.claimed[index]), 0, true)
            }
        };
        let position = u32::try_from(index).unwrap_or(u32::MAX);
        let shape = self.shaper.as_mut().map(|shaper| {
            let shape = shaper.next();
            // What is claimed is known already; what is drawn comes with `accept`.
            if let Some(id) = claimed {
                shaper.push(id);
            }
            shape
        });
        Wanted { row, sampling: self.sampling, shape, position, claimed, alternatives, hidden }
    }

    /// Takes what one row says; true when the task is finished and answered.
    fn accept(&mut self, model: &Model, said: Said) -> Result<bool, EngineError> {
        let Said { verdict, hidden } = said;
        match (&mut self.work, verdict) {
            (_, Verdict::NotFinite { logits }) => Err(EngineError::NotFinite { logits }),
            (Work::Generate(generation), Verdict::Drawn { id, logprob, likeliest }) => {
                let complete = match &mut self.shaper {
                    None => false,
                    Some(shaper) => {
                        if let Some(failure) = shaper.failure() {
                            return Err(EngineError::Form(failure));
                        }
                        shaper.push(id);
                        shaper.is_complete()
                    }
                };
                self.tokens.push(id);
                if let Some(observer) = &mut generation.observer {
                    observer.push(&hidden);
                }
                let elapsed = self.clock.elapsed();
                let drawn = Drawn { id, logprob, likeliest, elapsed, complete };
                let finished = generation.push(model, drawn);
                if let Some(finish) = finished {
                    let ids = self.tokens[self.prompt_tokens..].to_vec();
                    generation.finish(ids, self.prompt_tokens, finish, self.clock);
                }
                Ok(finished.is_some())
            }
            (Work::Rescore(rescore), Verdict::Checked(check)) => Ok(rescore.accept(check, &hidden)),
            // A generation asks for draws and a rescoring for checks: `wants` is right above.
            (Work::Generate(_), Verdict::Checked(_))
            | (Work::Rescore(_), Verdict::Drawn { .. }) => Err(EngineError::Stopped),
        }
    }
}

impl Rescore {
    fn accept(&mut self, check: TokenCheck, hidden: &[f32]) -> bool {
        self.observer.push(hidden);
        self.checks.push(check);
        let finished = self.checks.len() == self.claimed.len();
        if finished && let Some(reply) = self.reply.take() {
            let checks = std::mem::take(&mut self.checks);
            let audit = Audit { checks, states: self.observer.finish() };
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
    likeliest: Vec<(u32, f32)>,
    elapsed: Duration,
    /// Whether nothing can be added to the text.
    complete: bool,
}

impl Generation {
    /// Adds a token and streams its text; says whether and why the completion ends.
    fn push(&mut self, model: &Model, drawn: Drawn) -> Option<Finish> {
        let Drawn { id, logprob, likeliest, elapsed, complete } = drawn;
        if self.logprobs.is_empty() {
            self.timing.first_token = elapsed;
        }
        self.logprobs.push(logprob);
        let ended = !self.ignore_end && model.tokenizer().ends(id);
        if !ended {
            // A token without text is one whose text shows later.
            let text = self.stream.push(model.tokenizer(), id).unwrap_or_default();
            self.text.push_str(&text);
        }
        let stopped = self.cut_at_stop();
        let finish = if ended || stopped || complete {
            Some(Finish::Stop)
        } else if self.logprobs.len() == self.max_tokens {
            Some(Finish::Length)
        } else {
            None
        };
        if self.alternatives > 0 {
            self.likeliest.push(likeliest.clone());
        }
        let text = self.show(finish.is_some());
        // The channel has room for every token; a caller who has gone is noticed before the next step.
        drop(self.events.try_send(Ok(Event::Token { id, text, logprob, likeliest })));
        finish
    }

    /// The text to hand out now: all of it at the end, and before that none that could turn out to be
    /// the beginning of a stop text.
    fn show(&mut self, all: bool) -> String {
        let held = if all { 0 } else { begun(&self.text, &self.stop) };
        let end = (self.text.len() - held).max(self.shown);
        let text = self.text[self.shown.min(self.text.len())..end.min(self.text.len())].to_owned();
        self.shown = end;
        text
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
            likeliest: std::mem::take(&mut self.likeliest),
            cached_tokens: u32::try_from(self.cached).unwrap_or(u32::MAX),
            states: self.observer.as_mut().map(Observer::finish),
            finish,
            prompt_tokens: u32::try_from(prompt).unwrap_or(u32::MAX),
            timing: self.timing,
        };
        // A caller who has gone needs no answer.
        drop(self.events.try_send(Ok(Event::Done(completion))));
    }
}

/// Bytes at the end of `text` that begin a stop text.
fn begun(text: &str, stops: &[String]) -> usize {
    let begins = |stop: &String| {
        let longest = stop.len().saturating_sub(1).min(text.len());
        (1..=longest)
            .rev()
            .find(|&size| stop.as_bytes().starts_with(&text.as_bytes()[text.len() - size..]))
    };
    stops.iter().filter_map(begins).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_begin_a_stop_text_is_held_back() {
        let stops = ["\n\n".to_owned(), "END".to_owned()];
        for (text, held) in [("a", 0), ("a\n", 1), ("so E", 1), ("so EN", 2), ("ENx", 0), ("", 0)] {
            assert_eq!(begun(text, &stops), held, "{text:?}");
        }
    }
}
