//! The child's side: reads a rule's source and calls its functions until its input ends.
//!
//! Before anything of the rule is read the process binds itself: so much address space, so much time
//! on a processor, no core file. What the interpreter's own limits miss, these end.

use std::cell::RefCell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value as Json;
use starlark::environment::{FrozenModule, Globals, GlobalsBuilder, Module};
use starlark::eval::Evaluator;
use starlark::syntax::{AstModule, Dialect};
use starlark::values::FrozenHeapName;

use super::builtins::{self, Given};
use super::protocol::{Limits, Mistake, Request, Response, receive, send};
use crate::prf::Prf;

/// Address space for the rule beyond what the program has mapped when it starts, bytes: the heap's
/// limit, what the interpreter allocates outside of it, and the text of frames.
const SPACE: u64 = 192 * 1024 * 1024;
/// Address space allowed where the system does not say what is mapped already, bytes.
const SPACE_UNKNOWN: u64 = 1024 * 1024 * 1024;
/// Size of a page where `/proc/self/statm` exists, bytes.
const PAGE: u64 = 4096;

/// Serves one rule over `from` and `to`: the whole life of the child.
pub fn serve(mut from: impl io::Read, mut to: impl Write) -> io::Result<()> {
    confine()?;
    let Some(first) = receive::<Request>(&mut from)? else { return Ok(()) };
    let Request::Load { file, source, limits, params } = first else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the first request must load"));
    };
    allow_processor(limits.time)?;
    let code = match Code::read(&file, source, limits, &params) {
        Ok(code) => code,
        Err(mistake) => return send(&mut to, &Response::Failed(mistake)),
    };
    send(&mut to, &Response::Loaded(code.functions()))?;
    while let Some(request) = receive::<Request>(&mut from)? {
        let Request::Call { function, arguments, prf } = request else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "one host, one source"));
        };
        allow_processor(limits.time)?;
        let response = match code.call(&function, &arguments, prf.map(Prf::new)) {
            Ok(value) => Response::Returned(value),
            Err(mistake) => Response::Failed(mistake),
        };
        send(&mut to, &response)?;
    }
    Ok(())
}

/// Address space and core files, for good.
fn confine() -> io::Result<()> {
    let space = mapped().map_or(SPACE_UNKNOWN, |mapped| mapped + SPACE);
    setrlimit(Resource::As, Rlimit { current: Some(space), maximum: Some(space) })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Bytes of address space in use.
fn mapped() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().next()?.parse().ok()?;
    Some(pages * PAGE)
}

/// Time on a processor for the next call: as much as by the clock, rounded up to the whole seconds
/// that the system counts in.
fn allow_processor(time: Duration) -> io::Result<()> {
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec;
    let until = u64::try_from(used).unwrap_or(0) + time.as_secs() + 2;
    setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum: None })?;
    Ok(())
}

/// A source that was read.
struct Code {
    file: String,
    module: FrozenModule,
    limits: Limits,
}

impl Code {
    fn read(file: &str, source: String, limits: Limits, params: &Json) -> Result<Self, Mistake> {
        let dialect = Dialect { enable_load: false, enable_f_strings: true, ..Dialect::Standard };
        let ast = AstModule::parse(file, source, &dialect).map_err(|e| mistake(file, &e))?;
        let globals = globals(params);
        let module = Module::with_temp_heap(|module| {
            {
                let mut evaluator = Evaluator::new(&module);
                bind(&mut evaluator, limits).map_err(starlark::Error::new_other)?;
                evaluator.eval_module(ast, &globals)?;
            }
            let name = FrozenHeapName::User(Box::new(file.to_owned()));
            module.freeze_named(name).map_err(starlark::Error::from)
        })
        .map_err(|error| mistake(file, &error))?;
        Ok(Self { file: file.to_owned(), module, limits })
    }

    fn functions(&self) -> Vec<String> {
        let is_function = |name: &str| {
            let value = self.module.get(name).ok();
            value.is_some_and(|value| value.value().get_type() == "function")
        };
        let names = self.module.names().map(|name| name.as_str().to_owned());
        names.filter(|name| is_function(name)).collect()
    }

    fn call(&self, function: &str, arguments: &[Json], prf: Option<Prf>) -> Result<Json, Mistake> {
        let given = Given(RefCell::new(prf));
        let called = self
            .module
            .get(function)
            .map_err(|_| self.lacks(format!("there is no function `{function}`")))?;
        Module::with_temp_heap(|module| {
            let arguments: Vec<_> =
                arguments.iter().map(|argument| module.heap().alloc(argument)).collect();
            let mut evaluator = Evaluator::new(&module);
            evaluator.extra = Some(&given);
            bind(&mut evaluator, self.limits).map_err(|e| self.lacks(e.to_string()))?;
            let returned = evaluator
                .eval_function(module.heap().access_owned_frozen_value(&called), &arguments, &[])
                .map_err(|error| mistake(&self.file, &error))?;
            returned.to_json_value().map_err(|error| {
                self.lacks(format!("`{function}` returned what JSON cannot write: {error}"))
            })
        })
    }

    fn lacks(&self, message: String) -> Mistake {
        Mistake { file: self.file.clone(), line: 0, column: 0, message, hint: None }
    }
}

/// The interpreter's own limits: what gives the good error.
fn bind(evaluator: &mut Evaluator<'_, '_, '_>, limits: Limits) -> anyhow::Result<()> {
    evaluator.set_max_heap_size(limits.heap)?;
    evaluator.set_max_tick_count(limits.ticks)?;
    evaluator.set_max_callstack_size(limits.depth)?;
    let begun = Instant::now();
    evaluator.set_check_cancelled(Box::new(move || begun.elapsed() > limits.time));
    Ok(())
}

fn globals(params: &Json) -> Globals {
    let mut builder = GlobalsBuilder::standard();
    builder.namespace("prf", builtins::prf);
    builder.namespace("text", builtins::text);
    builder.namespace("math", builtins::math);
    builder.namespace("stats", builtins::stats);
    builtins::evidence(&mut builder);
    builder.set("params", params);
    builder.build()
}

/// Where and what, for people.
fn mistake(file: &str, error: &starlark::Error) -> Mistake {
    let begin = error.span().map(|span| span.resolve_span().begin);
    let (line, column) = begin.map_or((0, 0), |at| (at.line + 1, at.column + 1));
    let message = error.without_diagnostic().to_string();
    let source = error.span().map(|span| span.file.source_line(line.saturating_sub(1)));
    let hint = hint(error, source.unwrap_or_default());
    Mistake { file: file.to_owned(), line, column, message, hint }
}

/// What helps, by kind of mistake and the line it is in.
fn hint(error: &starlark::Error, line: &str) -> Option<String> {
    use starlark::ErrorKind::{Function, Parser, Scope};
    let foreign = [
        ("import ", "there are no imports: `prf`, `text`, `math` and `stats` are there already"),
        ("load(", "a rule is one file: copy what you need into it"),
        ("while ", "there is no `while`: use `for` over a `range` that is long enough"),
        ("**", "there is no `**`: use `math.pow`"),
        ("class ", "there are no classes: use functions and dicts"),
        ("try:", "there are no exceptions: test before, and `fail(\"why\")`"),
    ];
    match error.kind() {
        Parser(_) => {
            let known = foreign.iter().find(|(word, _)| line.contains(word));
            known.map(|(_, hint)| (*hint).to_owned())
        }
        Scope(_) => Some(
            "only what is defined in this file, `params`, and the builtins can be used: \
             `prf`, `text`, `math`, `stats`, `score`, `trials`, `matches`, `volume`"
                .to_owned(),
        ),
        Function(_) => Some(
            "a rule defines draw(subject, state), judge(draw, replies, state) and, if it likes, \
             learn(state, draw, replies)"
                .to_owned(),
        ),
        _ => None,
    }
}
