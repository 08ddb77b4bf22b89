//! Logs: human lines on a terminal, one JSON object a line for machines. Always on stderr, so that
//! stdout stays for what was asked for.

use std::io::IsTerminal as _;

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
    /// Installs the process's logger. `RUST_LOG` wins over the flags. A second call does nothing:
    /// the first program of a process decides.
    pub fn install(&self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => "warn",
            (false, 0) => "info",
            (false, 1) => "debug",
            (false, _) => "trace",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
            EnvFilter::new(format!("{level},subxt=warn,jsonrpsee=warn,hyper=warn,h2=warn"))
        });
        // Colours are for a terminal whose owner wants them; and who closes stderr wants no logs, not
        // the end of the program.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
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
