//! The parent's side: a child for one source, started when it is first needed and again after it died.

use std::io::{self, BufReader, BufWriter};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::protocol::{Limits, Mistake, Request, Response, receive, send};

/// Time beyond a call's own after which its process is killed: enough for the interpreter to notice
/// and to say where it was.
const GRACE: Duration = Duration::from_millis(50);
/// Time to start and read a source: a debug build on a busy machine needs a tenth of it.
const START: Duration = Duration::from_secs(5);

/// The program that hosts rules: this one, called in a way that ends in [`super::host::serve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    /// A program and the arguments that make it a host.
    pub fn new(path: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { path: path.into(), arguments }
    }

    /// The running program, with arguments that make it a host.
    pub fn this(arguments: &[&str]) -> io::Result<Self> {
        Ok(Self::new(std::env::current_exe()?, arguments))
    }
}

/// Why a call has no result. The rule's state and the book are as they were before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// No interpreter.
    #[error(
        "{file}: this program was built without Starlark: build it with the feature `starlark`"
    )]
    NotBuilt {
        /// Name of the source.
        file: String,
    },
    /// No process.
    #[error("no process for rules: {program} cannot be started")]
    Start {
        /// What was started.
        program: String,
        /// Why it did not.
        source: io::Error,
    },
    /// The rule's own mistake.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// Stopped by the clock.
    #[error("{file}: `{function}` ran for more than {} ms and was stopped", limit.as_millis())]
    OverTime {
        /// Name of the source.
        file: String,
        /// What was called.
        function: String,
        /// What it may take.
        limit: Duration,
    },
    /// The process ended by itself: out of memory or out of stack.
    #[error("{file}: `{function}` asked for more memory than a rule may have ({status})")]
    OverMemory {
        /// Name of the source.
        file: String,
        /// What was called.
        function: String,
        /// How the process ended.
        status: ExitStatus,
    },
    /// The pipe to the process broke, or what came through it is no answer.
    #[error("{file}: the process of `{function}` cannot be talked to")]
    Pipe {
        /// Name of the source.
        file: String,
        /// What was called.
        function: String,
        /// Why.
        source: io::Error,
    },
}

/// A source and the process that runs it.
#[derive(Debug)]
pub struct Host {
    program: Program,
    file: String,
    source: String,
    params: Value,
    limits: Limits,
    process: Option<Process>,
    functions: Vec<String>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    requests: BufWriter<ChildStdin>,
    responses: Receiver<io::Result<Option<Response>>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the process is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Host {
    /// Starts a process and has it read `source`, named `file` in messages.
    pub fn start(
        program: &Program,
        file: &str,
        source: &str,
        params: Value,
        limits: Limits,
    ) -> Result<Self, HostError> {
        if cfg!(not(feature = "starlark")) {
            return Err(HostError::NotBuilt { file: file.to_owned() });
        }
        let mut host = Self {
            program: program.clone(),
            file: file.to_owned(),
            source: source.to_owned(),
            params,
            limits,
            process: None,
            functions: Vec::new(),
        };
        host.begin()?;
        Ok(host)
    }

    /// Whether the source defines a function of this name.
    pub fn defines(&self, function: &str) -> bool {
        self.functions.iter().any(|defined| defined == function)
    }

    /// Calls a function; `prf` keys the randomness that it may use.
    pub fn call(
        &mut self,
        function: &str,
        arguments: Vec<Value>,
        prf: Option<[u8; 32]>,
    ) -> Result<Value, HostError> {
        if self.process.is_none() {
            self.begin()?;
        }
        let request = Request::Call { function: function.to_owned(), arguments, prf };
        match self.exchange(function, &request, self.limits.time)? {
            Response::Returned(value) => Ok(value),
            Response::Failed(mistake) => Err(mistake.into()),
            Response::Loaded(_) => Err(self.unexpected(function)),
        }
    }

    fn begin(&mut self) -> Result<(), HostError> {
        self.process = Some(self.spawn().map_err(|source| HostError::Start {
            program: self.program.path.display().to_string(),
            source,
        })?);
        let load = Request::Load {
            file: self.file.clone(),
            source: self.source.clone(),
            limits: self.limits,
            params: self.params.clone(),
        };
        let loading = "the top of the file";
        match self.exchange(loading, &load, self.limits.time.max(START))? {
            Response::Loaded(functions) => {
                self.functions = functions;
                Ok(())
            }
            Response::Failed(mistake) => {
                self.process = None;
                Err(mistake.into())
            }
            Response::Returned(_) => Err(self.unexpected(loading)),
        }
    }

    fn spawn(&self) -> io::Result<Process> {
        let mut child = Command::new(&self.program.path)
            .args(&self.program.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        let requests = BufWriter::new(child.stdin.take().ok_or_else(closed)?);
        let mut from = BufReader::new(child.stdout.take().ok_or_else(closed)?);
        let (to, responses) = sync_channel(1);
        thread::Builder::new().name("rule".to_owned()).spawn(move || {
            loop {
                let received = receive(&mut from);
                let last = !matches!(received, Ok(Some(_)));
                if to.send(received).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Process { child, requests, responses })
    }

    /// One request and its answer; a process that gives none is dropped, which kills it.
    fn exchange(
        &mut self,
        function: &str,
        request: &Request,
        time: Duration,
    ) -> Result<Response, HostError> {
        let Some(mut process) = self.process.take() else {
            return Err(self.unexpected(function));
        };
        let sent = send(&mut process.requests, request);
        if let Err(source) = sent {
            let unsendable = source.kind() == io::ErrorKind::InvalidData;
            return Err(if unsendable {
                self.process = Some(process);
                self.pipe(function, source)
            } else {
                self.ended(function, process, source)
            });
        }
        match process.responses.recv_timeout(time + GRACE) {
            Ok(Ok(Some(response))) => {
                self.process = Some(process);
                Ok(response)
            }
            Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => {
                Err(self.ended(function, process, io::ErrorKind::UnexpectedEof.into()))
            }
            Ok(Err(source)) => Err(self.ended(function, process, source)),
            Err(RecvTimeoutError::Timeout) => {
                let (file, function) = (self.file.clone(), function.to_owned());
                Err(HostError::OverTime { file, function, limit: self.limits.time })
            }
        }
    }

    /// What the end of a process says about the call.
    fn ended(&self, function: &str, mut process: Process, source: io::Error) -> HostError {
        use std::os::unix::process::ExitStatusExt as _;
        /// What the limit on processor time sends.
        const SIGXCPU: i32 = 24;
        let (file, named) = (self.file.clone(), function.to_owned());
        // A process whose pipe is closed has ended or is about to; killing it changes neither.
        drop(process.child.kill());
        match process.child.wait() {
            Ok(status) if status.signal() == Some(SIGXCPU) => {
                HostError::OverTime { file, function: named, limit: self.limits.time }
            }
            Ok(status) if status.signal().is_some() => {
                HostError::OverMemory { file, function: named, status }
            }
            _ => self.pipe(function, source),
        }
    }

    fn pipe(&self, function: &str, source: io::Error) -> HostError {
        HostError::Pipe { file: self.file.clone(), function: function.to_owned(), source }
    }

    fn unexpected(&self, function: &str) -> HostError {
        self.pipe(function, io::Error::new(io::ErrorKind::InvalidData, "an answer out of turn"))
    }
}
