//! The command line that both programs have: their settings as flags, a file, logs, and
//! `config show`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;

use crate::settings::{Resolved, Settings, SettingsError, resolve};
use crate::{Exit, Explain, Flags, Shutdown, expand, logs::LogArgs, report};

/// Flags of a program whose settings are `S`, and whose own commands are `C`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args<S: Settings + Clone + Send + Sync + 'static, C: Subcommand = NoCommand> {
    /// Settings in a TOML file; without it, the program's file in ~/.ganglion where it exists.
    #[arg(long, value_name = "FILE", env = "GANGLION_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// What to log.
    #[command(flatten)]
    pub logs: LogArgs,
    /// Something else than to run.
    #[command(subcommand)]
    pub command: Option<Command<C>>,
    /// The settings.
    #[command(flatten)]
    pub settings: Flags<S>,
}

/// What a program does besides running.
#[derive(Debug, Clone, Subcommand)]
pub enum Command<C: Subcommand> {
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What only this program does.
    #[command(flatten)]
    Own(C),
}

/// No commands of its own.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum NoCommand {}

/// What there is to see of the settings.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting and where it came from, as a file that gives the same settings.
    Show,
}

impl Explain for SettingsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        vec!["`config show` prints every setting, its value and where it came from".into()]
    }
}

impl<S: Settings + Clone + Send + Sync + 'static, C: Subcommand> Args<S, C> {
    /// The four layers, merged. `name` is the program's, and so its file's.
    pub fn resolve(&self, name: &str) -> Result<Resolved<S>, SettingsError> {
        let usual = expand(&PathBuf::from(format!("~/.ganglion/{name}.toml")));
        let file = self.config.clone().or_else(|| usual.exists().then_some(usual));
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        resolve(&self.settings, &environment, file.as_deref())
    }

    /// Runs the program `name` until it ends by itself, fails, or the user interrupts it; or, where a
    /// command of its own is given, that. What goes wrong is printed to stderr.
    pub fn run_or<E, F, G>(
        self,
        name: &str,
        own: impl FnOnce(C, S, Shutdown) -> G,
        program: impl FnOnce(S, Shutdown) -> F,
    ) -> Exit
    where
        E: Explain,
        F: Future<Output = Result<(), E>>,
        G: Future<Output = Result<(), E>>,
    {
        let resolved = match self.resolve(name) {
            Ok(resolved) => resolved,
            Err(error) => return fail(&error),
        };
        match self.command {
            Some(Command::Config(ConfigCommand::Show)) => {
                out(&resolved.show());
                Exit::Done
            }
            Some(Command::Own(command)) => {
                self.logs.install();
                run_to_end(|stop| own(command, resolved.value, stop))
            }
            None => {
                self.logs.install();
                run_to_end(|stop| program(resolved.value, stop))
            }
        }
    }
}

impl<S: Settings + Clone + Send + Sync + 'static> Args<S> {
    /// Runs the program `name` until it ends by itself, fails, or the user interrupts it. What goes
    /// wrong is printed to stderr.
    pub fn run<E, F>(self, name: &str, program: impl FnOnce(S, Shutdown) -> F) -> Exit
    where
        E: Explain,
        F: Future<Output = Result<(), E>>,
    {
        self.run_or(name, |none, _, _| async move { match none {} }, program)
    }
}

/// Runs a program on a runtime of its own, until it ends, fails, or the user interrupts it. What
/// goes wrong is printed to stderr.
pub fn run_to_end<E, F>(program: impl FnOnce(Shutdown) -> F) -> Exit
where
    E: Explain,
    F: Future<Output = Result<(), E>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return fail(&NoRuntime { source }),
    };
    let exit = runtime.block_on(until_interrupted(program));
    // A model that is still loading must not keep an interrupted program alive.
    runtime.shutdown_background();
    exit
}

/// The system gives this process no threads.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the runtime")]
struct NoRuntime {
    source: std::io::Error,
}

impl Explain for NoRuntime {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Runs `program`; the first Ctrl-C asks it to end in order, a second ends it at once.
async fn until_interrupted<E: Explain, F: Future<Output = Result<(), E>>>(
    program: impl FnOnce(Shutdown) -> F,
) -> Exit {
    let stop = Shutdown::new();
    let mut running = std::pin::pin!(program(stop.clone()));
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = interrupt() => {
            tracing::info!("ending; once more to end at once");
            stop.cancel();
            tokio::select! {
                ended = &mut running => match ended {
                    Ok(()) => return Exit::Interrupted,
                    failed => failed,
                },
                () = interrupt() => return Exit::Interrupted,
            }
        }
    };
    match ended {
        Ok(()) => Exit::Done,
        Err(error) if error.exit() == Exit::Interrupted => Exit::Interrupted,
        Err(error) => fail(&error),
    }
}

/// Ctrl-C, or the service manager's SIGTERM.
async fn interrupt() {
    #[cfg(unix)]
    if let Ok(mut term) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = term.recv() => {}
        }
        return;
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn fail(error: &impl Explain) -> Exit {
    err(&report(error));
    error.exit()
}

/// Prints what was asked for. A reader that left, as `head` does, is no error.
fn out(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// The one reporter of a program.
fn err(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}
