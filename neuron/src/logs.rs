//! Logs: human lines on a terminal, one JSON object a line for machines. Always on stderr, so that
//! stdout stays for what was asked for.

use std::io::{IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

/// The shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For machines.
    Json,
}

/// What to log, as flags.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogArgs {
    /// Shape of log lines.
    #[arg(long = "log", value_enum, default_value_t, env = "GANGLION_LOG", global = true)]
    pub format: Format,
    /// Say more: -v debug, -vv trace.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Say only warnings and errors.
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub quiet: bool,
}

impl LogArgs {
    /// Installs the process's logger, which writes to stderr. `RUST_LOG` wins over the flags. A
    /// second call does nothing: the first program of a process decides.
    pub fn install(&self) {
        self.install_to(self.level(["info", "debug", "trace"]), std::io::stderr);
    }

    /// Installs the logger of a program that draws on the terminal: lines go through its `writer`,
    /// one level sparser, as the drawing tells the rest.
    pub fn install_beside<W: Write>(&self, writer: impl Fn() -> W + Send + Sync + 'static) {
        self.install_to(self.level(["warn", "info", "debug"]), writer);
    }

    fn level(&self, by_verbosity: [&'static str; 3]) -> &'static str {
        if self.quiet {
            return "warn";
        }
        by_verbosity[usize::from(self.verbose).min(by_verbosity.len() - 1)]
    }

    fn install_to<W: Write>(&self, level: &str, writer: impl Fn() -> W + Send + Sync + 'static) {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
            EnvFilter::new(format!("{level},subxt=warn,jsonrpsee=warn,hyper=warn,h2=warn"))
        });
        // Colours are for a terminal whose owner wants them; and who closes stderr wants no logs, not
        // the end of the program.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(writer)
            .with_ansi(std::io::stderr().is_terminal() && !plain)
            .log_internal_errors(false);
        let installed = match self.format {
            Format::Human => builder.try_init(),
            Format::Json => builder.json().flatten_event(true).try_init(),
        };
        if installed.is_err() {
            tracing::debug!("a logger is already installed");
        }
    }
}
