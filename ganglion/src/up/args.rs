//! The flags of `up`.

use std::{path::PathBuf, str::FromStr};

use subnet_rules::arena::Kind;

/// Blocks of a `up` epoch: two or three rounds of questions fit in one, and a person does not wait.
const TEMPO: u16 = 40;

/// A whole subnet on this machine: chain, miners, validators, live table.
#[derive(Debug, Clone, clap::Args)]
pub struct UpArgs {
    /// Stop after this many epochs paid by our validators' weights; without it, run until Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Print one JSON object on standard output at the end, and no table.
    #[arg(long)]
    pub json: bool,
    /// Model that the rule names: `tiny` (shipped), `smollm2-135m` (downloaded), or a path to a
    /// GGUF file or a folder with safetensors.
    #[arg(long, default_value = "tiny", env = "GANGLION_MODEL")]
    pub model: String,
    /// Rule that validators ask by: a shipped rule's name or a rule's folder.
    #[arg(long, default_value = "serve", value_name = "NAME|FOLDER")]
    pub rule: String,
    /// Miners, as `KIND` or `KIND:N`: honest, lazy, substitute, copier, forger, early-end, …
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "honest:1,substitute:1,lazy:1",
        value_name = "KIND[:N]"
    )]
    pub miners: Vec<MinerKind>,
    /// Validators.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub validators: u8,
    /// Milliseconds a block takes.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(20..=60_000))]
    pub block_ms: u64,
    /// Blocks an epoch takes.
    #[arg(long, default_value_t = TEMPO, value_parser = clap::value_parser!(u16).range(20..))]
    pub tempo: u16,
    /// Port of the chain; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Compute threads a model uses.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Keep wallets and state in this folder instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Keep every answer with its evidence in this folder, for `ganglion model verify`.
    #[arg(long, value_name = "DIR")]
    pub audit: Option<PathBuf>,
}

/// So many miners of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct MinerKind {
    /// How they behave.
    pub kind: Kind,
    /// How many there are, 1 to 16.
    pub count: u8,
}

/// Most miners of one kind: each has a socket and a model of its own on this machine.
const MAX_MINERS: u8 = 16;

impl FromStr for MinerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, count) = text.split_once(':').unwrap_or((text, "1"));
        let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
        let kind = known.ok_or_else(|| {
            format!("no kind `{kind}`: {} are known", Kind::ALL.map(Kind::name).join(", "))
        })?;
        match count.parse() {
            Ok(count) if (1..=MAX_MINERS).contains(&count) => Ok(Self { kind, count }),
            _ => Err(format!("`{count}` is no count from 1 to {MAX_MINERS}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cast_is_read_by_kind_and_count() {
        assert_eq!("lazy:3".parse(), Ok(MinerKind { kind: Kind::Lazy, count: 3 }));
        assert_eq!("honest".parse(), Ok(MinerKind { kind: Kind::Honest, count: 1 }));
    }

    #[test]
    fn a_wrong_kind_or_count_is_named() {
        assert!("king".parse::<MinerKind>().unwrap_err().contains("king"));
        assert!("lazy:0".parse::<MinerKind>().unwrap_err().contains('0'));
        assert!("lazy:17".parse::<MinerKind>().unwrap_err().contains("17"));
    }
}
