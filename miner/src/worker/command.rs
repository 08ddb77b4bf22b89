//! A program of the engineer's as a process: a line of JSON in for each job, a line of JSON out.
//!
//! ```text
//! → {"job": 7, "rule": "mine", "version": 1, "phase": "once", "id": "…", "task": {…}, "caller": "5…", "deadline_ms": 4000}
//! ← {"job": 7, "answer": {…}}          or  {"job": 7, "error": "why"}
//! ```
//!
//! Several jobs may be under way; the number says which one an answer is of. What the process writes to
//! standard error goes to the miner's log. It is started again, later each time, when it dies, and ended
//! when a line of it is no answer: whoever lost count of its lines would answer everybody wrongly.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use neuron::Health;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subnet_rules::work::WorkError;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::{ANSWER_MAX, Job, Worker};

/// First wait before a dead process is started again; doubles each time it dies young.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A process that lived so long has not died young.
const GROWN: Duration = Duration::from_secs(30);
/// Jobs that wait for the process to read them.
const QUEUE: usize = 64;
/// Longest line of standard error that is logged whole, bytes.
const LOGGED_MAX: u64 = 4096;

/// A worker in a process.
#[derive(Debug)]
pub(crate) struct Command {
    next: AtomicU64,
    waiting: Waiting,
    lines: mpsc::Sender<String>,
    _keeper: JoinSet<()>,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Value, WorkError>>>>>;

#[derive(Serialize)]
struct Line<'a> {
    job: u64,
    #[serde(flatten)]
    of: &'a Job,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    job: u64,
    #[serde(default)]
    answer: Option<Value>,
    #[serde(default)]
    error: Option<String>,
}

impl Command {
    /// Starts the process, and keeps it running.
    pub(crate) fn start(command: &str, health: Health) -> Self {
        let (lines, queue) = mpsc::channel(QUEUE);
        let waiting = Waiting::default();
        let mut keeper = JoinSet::new();
        keeper.spawn(keep(command.to_owned(), queue, Arc::clone(&waiting), health));
        Self { next: AtomicU64::new(1), waiting, lines, _keeper: keeper }
    }
}

#[async_trait]
impl Worker for Command {
    async fn answer(&self, job: Job) -> Result<Value, WorkError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let line = serde_json::to_string(&Line { job: number, of: &job })
            .map_err(|error| WorkError::Failed(error.to_string()))?;
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(number, sender);
        let asking = async {
            let gone = |_| WorkError::Failed("it is not running".into());
            self.lines
                .send(line)
                .await
                .map_err(|_| WorkError::Failed("it is not running".into()))?;
            receiver.await.map_err(gone)?
        };
        let answered = tokio::time::timeout(job.deadline(), asking).await;
        // A late answer finds nobody, and is counted as that.
        self.waiting.lock().remove(&number);
        answered.unwrap_or_else(|_| Err(WorkError::Failed("it did not answer in time".into())))
    }
}

/// Keeps a process running for as long as the miner does.
async fn keep(
    command: String,
    mut queue: mpsc::Receiver<String>,
    waiting: Waiting,
    health: Health,
) {
    let mut wait = FIRST_WAIT;
    loop {
        let begun = tokio::time::Instant::now();
        let why = live(&command, &mut queue, &waiting).await;
        // Whoever waits for an answer of the dead one waits in vain.
        for (_, sender) in waiting.lock().drain() {
            drop(sender.send(Err(WorkError::Failed(why.clone()))));
        }
        health.metrics.count("ganglion_miner_worker_restarts_total", &[], 1);
        wait = if begun.elapsed() >= GROWN { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        let said = format!("the worker ended: {why}; it is started again in {wait:?}");
        tracing::error!(command, "{said}");
        health.readiness.object("worker", said);
        tokio::time::sleep(wait).await;
        health.readiness.clear("worker");
    }
}

/// One life of the process; why it ended.
async fn live(command: &str, queue: &mut mpsc::Receiver<String>, waiting: &Waiting) -> String {
    let spawned = tokio::process::Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return format!("it does not start: {error}"),
    };
    let mut logging = JoinSet::new();
    if let Some(stderr) = child.stderr.take() {
        logging.spawn(log(BufReader::new(stderr)));
    }
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return "it has no input or output".to_owned();
    };
    let why = tokio::select! {
        why = write(stdin, queue) => why,
        why = read(BufReader::new(stdout), waiting) => why,
        ended = child.wait() => match ended {
            Ok(status) => format!("{status}"),
            Err(error) => error.to_string(),
        },
    };
    end(child).await;
    why
}

async fn end(mut child: Child) {
    if let Err(error) = child.kill().await {
        tracing::debug!(%error, "the worker was gone already");
    }
}

async fn write(
    mut stdin: tokio::process::ChildStdin,
    queue: &mut mpsc::Receiver<String>,
) -> String {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        if let Err(error) = stdin.write_all(line.as_bytes()).await {
            return format!("it reads no more: {error}");
        }
    }
    // The miner ends.
    std::future::pending().await
}

async fn read(mut stdout: BufReader<ChildStdout>, waiting: &Waiting) -> String {
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut stdout).take(ANSWER_MAX as u64 + 1);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) => return "it closed its output".to_owned(),
            Ok(length) if length > ANSWER_MAX => {
                return format!("a line of more than {ANSWER_MAX} bytes");
            }
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
        let Said { job, answer, error } = match serde_json::from_slice(&line) {
            Ok(said) => said,
            Err(error) => return format!("a line that is no answer: {error}"),
        };
        let Some(sender) = waiting.lock().remove(&job) else {
            tracing::warn!(job, "the worker answers late, or twice: nobody waits for it");
            continue;
        };
        let said = match (answer, error) {
            (_, Some(error)) => Err(WorkError::Task(error)),
            (Some(answer), None) => Ok(answer),
            (None, None) => Err(WorkError::Failed("it answers without an answer".into())),
        };
        // Whoever asked may have given up.
        drop(sender.send(said));
    }
}

async fn log(mut stderr: BufReader<tokio::process::ChildStderr>) {
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut stderr).take(LOGGED_MAX);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(1..) => {
                let line = String::from_utf8_lossy(&line);
                tracing::info!(target: "worker", "{}", line.trim_end());
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use chain_metadata::Hotkey;
    use subnet_rules::digest::Digest;
    use subnet_rules::exchange::Phase;

    fn job(deadline_ms: u64) -> Job {
        Job {
            rule: "sums".into(),
            version: 1,
            phase: Phase::Once,
            id: Digest([1; 32]),
            task: serde_json::json!({ "numbers": [1, 2] }),
            caller: Hotkey::from_bytes([2; 32]),
            deadline_ms,
        }
    }

    /// A worker whose every line is answered by a shell's `echo`; `$n` is the job's number.
    fn echoing(answer: &str) -> Command {
        let number = r#"n=$(printf %s "$line" | sed 's/.*"job":\([0-9]*\).*/\1/')"#;
        let command = format!("while read -r line; do {number}; {answer}; done");
        Command::start(&command, Health::default())
    }

    const PATIENT: u64 = 20_000;

    #[tokio::test]
    async fn a_program_answers_and_an_error_of_its_own_is_the_tasks() {
        let worker = echoing(r#"echo "{\"job\":$n,\"answer\":{\"sum\":3}}""#);
        for _ in 0..3 {
            assert_eq!(worker.answer(job(PATIENT)).await, Ok(serde_json::json!({ "sum": 3 })));
        }
        let worker = echoing(r#"echo "{\"job\":$n,\"error\":\"no numbers\"}""#);
        assert_eq!(worker.answer(job(PATIENT)).await, Err(WorkError::Task("no numbers".into())));
    }

    #[tokio::test]
    async fn an_answer_twice_or_of_another_job_is_nobodys() {
        let twice = r#"echo "{\"job\":999,\"answer\":0}"; echo "{\"job\":$n,\"answer\":1}"; echo "{\"job\":$n,\"answer\":2}""#;
        let worker = echoing(twice);
        for _ in 0..3 {
            assert_eq!(worker.answer(job(PATIENT)).await, Ok(serde_json::json!(1)));
        }
    }

    #[tokio::test]
    async fn who_never_answers_costs_its_deadline_and_nothing_else() {
        let worker = echoing(r#"[ $n = 1 ] || echo "{\"job\":$n,\"answer\":$n}""#);
        let late = worker.answer(job(300)).await;
        assert!(
            matches!(&late, Err(WorkError::Failed(why)) if why.contains("in time")),
            "{late:?}"
        );
        assert!(worker.waiting.lock().is_empty(), "nothing is kept of it");
        assert_eq!(worker.answer(job(PATIENT)).await, Ok(serde_json::json!(2)));
    }

    #[tokio::test]
    async fn garbage_not_a_number_and_death_end_the_process_and_it_comes_back() {
        for bad in ["echo garbage", r#"echo "{\"job\":$n,\"answer\":NaN}""#, "exit 3"] {
            let worker = echoing(&format!(
                r#"if [ $n = 1 ]; then {bad}; else echo "{{\"job\":$n,\"answer\":7}}"; fi"#
            ));
            let failed = worker.answer(job(PATIENT)).await;
            assert!(matches!(failed, Err(WorkError::Failed(_))), "{bad}: {failed:?}");
            assert_eq!(worker.answer(job(PATIENT)).await, Ok(serde_json::json!(7)), "{bad}");
        }
    }

    #[tokio::test]
    async fn an_endless_line_is_cut_off() {
        let worker = Command::start("read -r line; yes | tr -d '\\n'", Health::default());
        let failed = worker.answer(job(PATIENT)).await;
        assert!(
            matches!(&failed, Err(WorkError::Failed(why)) if why.contains("bytes")),
            "{failed:?}"
        );
    }
}
