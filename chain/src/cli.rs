//! `ganglion chain`: what a runtime offers us, what an upgrade changes, and what the chain says.
//!
//! ```text
//! check SOURCE        every fact the suite uses, with its verdict    red: the suite will fail on it
//! diff A B            the facts that differ between two runtimes
//! metadata SOURCE     writes a runtime's metadata to a file
//! metagraph           a subnet's neurons          hyperparameters     its rules and its epochs
//! balance             free TAO of an account
//! ```
//!
//! A source is an endpoint (`ws://…`, `wss://…`) or a file of SCALE metadata, gzipped or not.

mod recording;
mod show;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use chain_metadata::{Coldkey, MetadataError, NetUid, check, diff};
use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use crate::{Chain, ConnectError, ConnectOptions, ReadError};

/// Where a local chain listens.
const LOCAL_ENDPOINT: &str = "ws://127.0.0.1:9944";

/// The subcommand's flags.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Hold everything the suite uses of a chain against a runtime.
    Check {
        /// An endpoint (ws://…, wss://…) or a file of SCALE metadata, gzipped or not.
        #[arg(value_name = "ENDPOINT|FILE", default_value = LOCAL_ENDPOINT)]
        source: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// What differs for the suite between two runtimes.
    Diff {
        /// The runtime before: an endpoint or a file.
        #[arg(value_name = "A")]
        before: String,
        /// The runtime after: an endpoint or a file.
        #[arg(value_name = "B")]
        after: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write a runtime's metadata to a file, for `check` and `diff`.
    Metadata {
        /// The endpoint.
        #[arg(value_name = "ENDPOINT", default_value = LOCAL_ENDPOINT)]
        source: String,
        /// The file to write; gzipped where its name ends with .gz.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// The neurons of a subnet.
    Metagraph {
        #[command(flatten)]
        of: OfSubnet,
    },
    /// The rules of a subnet, and when its next epoch is.
    Hyperparameters {
        #[command(flatten)]
        of: OfSubnet,
    },
    /// The free TAO of an account.
    Balance {
        /// The account's ss58 address.
        #[arg(value_name = "SS58")]
        coldkey: Coldkey,
        /// The endpoint.
        #[arg(long, value_name = "URL", default_value = LOCAL_ENDPOINT)]
        endpoint: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, ClapArgs)]
struct OfSubnet {
    /// The subnet.
    #[arg(short, long, value_name = "N")]
    netuid: u16,
    /// The endpoint.
    #[arg(long, value_name = "URL", default_value = LOCAL_ENDPOINT)]
    endpoint: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How a command that could be carried out ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Done,
    /// A fact is missing or has changed: the suite will fail on that runtime.
    Red,
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// No connection.
    #[error("cannot reach {endpoint}")]
    Connect {
        /// The endpoint.
        endpoint: String,
        /// Why not.
        source: ConnectError,
    },
    /// The chain could not be read.
    #[error("cannot read the chain at {endpoint}")]
    Read {
        /// The endpoint.
        endpoint: String,
        /// Why not.
        source: ReadError,
    },
    /// The file could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The source's bytes are no metadata.
    #[error("{source_name} holds no metadata that can be read")]
    Metadata {
        /// File or endpoint.
        source_name: String,
        /// Why not.
        source: MetadataError,
    },
    /// The answer could not be printed.
    #[error("cannot print the answer")]
    Print(#[source] io::Error),
}

impl CliError {
    /// What to try.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Connect { .. } => Some("`ganglion localnet` starts a chain on this machine"),
            Self::Read { source: ReadError::NoSubnet { .. }, .. } => {
                Some("--netuid names the subnet; `btcli subnets list` shows them")
            }
            Self::Read { source: ReadError::Absent { .. } | ReadError::Shape { .. }, .. } => {
                Some("`ganglion chain check ENDPOINT` says what the runtime lacks")
            }
            Self::File { .. } => Some(
                "give a file of SCALE metadata, or an endpoint that begins with ws:// or wss://",
            ),
            Self::Metadata { .. } => {
                Some("`ganglion chain metadata ENDPOINT -o FILE` writes such a file")
            }
            _ => None,
        }
    }

    /// Whether the caller's words are at fault, rather than a file or a chain.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::File { .. }
                | Self::Metadata { .. }
                | Self::Connect {
                    source: ConnectError::NotAUrl { .. } | ConnectError::Scheme { .. },
                    ..
                }
                | Self::Read { source: ReadError::NoSubnet { .. }, .. }
        )
    }
}

/// Carries the command out and prints to `out`.
pub async fn run(args: Args, out: &mut impl Write) -> Result<Outcome, CliError> {
    match args.command {
        Command::Check { source, json } => {
            let report = check(&metadata_of(&source).await?)
                .map_err(|error| CliError::Metadata { source_name: source, source: error })?;
            let red = report.red().next().is_some();
            if json {
                print(out, &report)?;
            } else {
                show::report(out, &report)?;
            }
            Ok(if red { Outcome::Red } else { Outcome::Done })
        }
        Command::Diff { before, after, json } => {
            let sources = [metadata_of(&before).await?, metadata_of(&after).await?];
            let differences = diff(&sources[0], &sources[1]).map_err(|error| {
                CliError::Metadata { source_name: format!("{before} or {after}"), source: error }
            })?;
            let red = differences.iter().any(|difference| difference.verdict.is_red());
            if json {
                #[derive(Serialize)]
                struct Differences<T> {
                    differences: T,
                }
                print(out, &Differences { differences })?;
            } else {
                show::differences(out, &differences)?;
            }
            Ok(if red { Outcome::Red } else { Outcome::Done })
        }
        Command::Metadata { source, output } => {
            let bytes = metadata_of(&source).await?;
            recording::write(&output, &bytes)
                .map_err(|source| CliError::File { path: output.clone(), source })?;
            writeln!(out, "{} bytes of metadata in {}", bytes.len(), output.display())
                .map_err(CliError::Print)?;
            Ok(Outcome::Done)
        }
        Command::Metagraph { of } => {
            let chain = connect(&of.endpoint).await?;
            let netuid = NetUid(of.netuid);
            let metagraph = chain.metagraph(netuid, None).await.map_err(at(&of.endpoint))?;
            if of.json {
                print(out, &metagraph)?;
            } else {
                show::metagraph(out, &metagraph)?;
            }
            Ok(Outcome::Done)
        }
        Command::Hyperparameters { of } => hyperparameters(of, out).await,
        Command::Balance { coldkey, endpoint, json } => {
            let chain = connect(&endpoint).await?;
            let balance = chain.balance(&coldkey).await.map_err(at(&endpoint))?;
            if json {
                print(out, &serde_json::json!({ "coldkey": coldkey, "rao": balance.rao() }))?;
            } else {
                writeln!(out, "{balance}").map_err(CliError::Print)?;
            }
            Ok(Outcome::Done)
        }
    }
}

async fn hyperparameters(of: OfSubnet, out: &mut impl Write) -> Result<Outcome, CliError> {
    let chain = connect(&of.endpoint).await?;
    let netuid = NetUid(of.netuid);
    let head = chain.finalized_head().await.map_err(at(&of.endpoint))?;
    let hash = Some(head.hash);
    let rules = chain.hyperparameters(netuid, hash).await.map_err(at(&of.endpoint))?;
    let clock = chain.epoch_clock(netuid, hash).await.map_err(at(&of.endpoint))?;
    let answer = serde_json::json!({
        "netuid": netuid,
        "block": head.number,
        "next_epoch_block": clock.next_epoch_block(head.number),
        "hyperparameters": rules,
        "epoch": clock,
    });
    if of.json {
        print(out, &answer)?;
    } else {
        show::object(out, &answer)?;
    }
    Ok(Outcome::Done)
}

fn at(endpoint: &str) -> impl FnOnce(ReadError) -> CliError {
    |source| CliError::Read { endpoint: endpoint.to_owned(), source }
}

async fn connect(endpoint: &str) -> Result<Chain, CliError> {
    Chain::connect(&[endpoint.to_owned()], ConnectOptions::default())
        .await
        .map_err(|source| CliError::Connect { endpoint: endpoint.to_owned(), source })
}

/// A runtime's metadata, from the chain that runs it or from a file.
async fn metadata_of(source: &str) -> Result<Vec<u8>, CliError> {
    if source.contains("://") {
        return connect(source).await?.metadata().await.map_err(at(source));
    }
    let path = PathBuf::from(source);
    recording::read(&path).map_err(|source| CliError::File { path, source })
}

fn print(out: &mut impl Write, answer: &impl Serialize) -> Result<(), CliError> {
    serde_json::to_writer_pretty(&mut *out, answer)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .map_err(CliError::Print)
}
