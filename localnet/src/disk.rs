//! `--state DIR`: the chain on disk.
//!
//! One append-only file of records, each with its length and a checksum: first a checkpoint (all blocks, the
//! youngest state), then one record a block or a revert. A record reaches the operating system before the
//! block is announced, so a killed process loses nothing; a record cut short at the end of the file was never
//! announced and is dropped. Opening replays the file and, when it has grown, writes a fresh checkpoint
//! beside it and renames.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the SCALE derive casts the indices of an enum of three variants"
)]

use crate::{
    chain::Block,
    clock::Clock,
    state::{Delta, NodeKey},
};
use codec::{Decode, Encode};
use node_subtensor_runtime::Header;
use sp_core::H256;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Names the format; another first line is another program's file.
const MAGIC: &[u8; 24] = b"ganglion localnet log 1\n";
const LOG: &str = "chain.log";
const NEW_LOG: &str = "chain.log.new";
const LOCK: &str = "lock";

/// Length and checksum before each record.
const RECORD_HEAD: usize = 12;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// A file operation failed.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{path} is in use by another local chain")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Not our format.
    #[error("{path} is not a local chain's log of this version")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to a chain with another genesis: other flags, another genesis file, or another build.
    #[error(
        "{path} holds the chain {stored:?}, but these settings and this build make {expected:?}"
    )]
    OtherChain {
        /// The directory.
        path: PathBuf,
        /// Genesis hash on disk.
        stored: H256,
        /// Genesis hash of the settings.
        expected: H256,
    },
}

/// A block as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WrittenBlock {
    pub header: Header,
    pub body: Vec<Vec<u8>>,
}

impl From<&Block> for WrittenBlock {
    fn from(block: &Block) -> Self {
        let body = block.body.iter().map(|extrinsic| extrinsic.to_vec()).collect();
        Self { header: block.header.clone(), body }
    }
}

impl From<WrittenBlock> for Block {
    fn from(block: WrittenBlock) -> Self {
        let body = block.body.into_iter().map(Arc::from).collect();
        Self { hash: block.header.hash(), header: block.header, body }
    }
}

/// Everything needed to go on from the youngest block.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct Checkpoint {
    /// From the genesis on, none missing.
    pub blocks: Vec<WrittenBlock>,
    /// The nodes of the youngest block's state.
    pub nodes: Vec<(NodeKey, Vec<u8>)>,
    pub clock: Clock,
}

#[derive(Debug, Encode, Decode)]
pub(crate) enum Record {
    #[codec(index = 0)]
    Checkpoint(Checkpoint),
    #[codec(index = 1)]
    Block { block: WrittenBlock, delta: Delta, clock: Clock },
    #[codec(index = 2)]
    Revert { to: u32, clock: Clock },
}

/// An open log, locked against other processes.
pub(crate) struct Disk {
    log: File,
    path: PathBuf,
    _lock: File,
}

impl Disk {
    /// Opens `dir`, which is made if need be; the records found there, oldest first.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Vec<Record>), DiskError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        let lock = lock(dir)?;
        let path = dir.join(LOG);
        let mut log = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(at(&path))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).map_err(at(&path))?;
        let (records, intact) = match bytes.strip_prefix(MAGIC) {
            Some(rest) => {
                let (records, length) = records(rest);
                (records, MAGIC.len().saturating_add(length))
            }
            // Killed while the first bytes were written: nothing was announced yet.
            None if MAGIC.starts_with(&bytes) => (Vec::new(), 0),
            None => return Err(DiskError::Format { path }),
        };
        if intact < bytes.len() {
            tracing::warn!(dropped = bytes.len().saturating_sub(intact), "cut a torn record off");
            log.set_len(u64::try_from(intact).unwrap_or(u64::MAX)).map_err(at(&path))?;
        }
        if intact == 0 {
            log.write_all(MAGIC).map_err(at(&path))?;
        }
        Ok((Self { log, path, _lock: lock }, records))
    }

    /// Writes a record; when this returns it survives the process.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), DiskError> {
        framed(record).and_then(|frame| self.log.write_all(&frame)).map_err(at(&self.path))
    }

    /// Replaces the log by one that holds `checkpoint` alone.
    pub(crate) fn restart(&mut self, checkpoint: Checkpoint) -> Result<(), DiskError> {
        let new = self.path.with_file_name(NEW_LOG);
        let mut log = File::create(&new).map_err(at(&new))?;
        log.write_all(MAGIC).map_err(at(&new))?;
        framed(&Record::Checkpoint(checkpoint))
            .and_then(|frame| log.write_all(&frame))
            .map_err(at(&new))?;
        log.sync_all().map_err(at(&new))?;
        fs::rename(&new, &self.path).map_err(at(&self.path))?;
        self.log = OpenOptions::new().append(true).open(&self.path).map_err(at(&self.path))?;
        Ok(())
    }
}

/// A chain in one piece, as a log that holds nothing but a checkpoint.
pub(crate) fn dump(checkpoint: Checkpoint) -> io::Result<Vec<u8>> {
    let frame = framed(&Record::Checkpoint(checkpoint))?;
    Ok([&MAGIC[..], &frame].concat())
}

/// The chain that [`dump`] wrote; `None` when it is cut short or something else.
pub(crate) fn undump(bytes: &[u8]) -> Option<Checkpoint> {
    let (record, rest) = next_record(bytes.strip_prefix(MAGIC)?)?;
    match record {
        Record::Checkpoint(checkpoint) if rest.is_empty() => Some(checkpoint),
        _ => None,
    }
}

fn lock(dir: &Path) -> Result<File, DiskError> {
    let path = dir.join(LOCK);
    let file = File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DiskError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(DiskError::Io { path, source }),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> DiskError {
    move |source| DiskError::Io { path: path.to_owned(), source }
}

/// A record with its length and checksum. The length has 32 bits: a checkpoint of millions of blocks does not
/// fit, and is refused rather than cut.
fn framed(record: &Record) -> io::Result<Vec<u8>> {
    let payload = record.encode();
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(payload.len().saturating_add(RECORD_HEAD));
    frame.extend(length.to_le_bytes());
    frame.extend(sp_io::hashing::twox_64(&payload));
    frame.extend(payload);
    Ok(frame)
}

/// The intact records at the front of `bytes`, and how many bytes they take.
fn records(mut bytes: &[u8]) -> (Vec<Record>, usize) {
    let whole = bytes.len();
    let mut records = Vec::new();
    while let Some((record, rest)) = next_record(bytes) {
        records.push(record);
        bytes = rest;
    }
    (records, whole.saturating_sub(bytes.len()))
}

fn next_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    if sp_io::hashing::twox_64(payload) != *checksum {
        return None;
    }
    Some((Record::decode(&mut &payload[..]).ok()?, rest))
}
