//! The accepted nonces, appended to a file before they count.
//!
//! A write that has returned survives the death of the process, though not of the machine, and is
//! cheap because nothing is synced. After a reboot the file is therefore not believed: its header
//! names the boot that wrote it.
//!
//! Layout: [`MAGIC`], 36 bytes of boot id, then records of a kind byte, 32 bytes of hotkey, the
//! nonce little-endian, and the first 8 bytes of the sha256 of all that.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use chain_metadata::Hotkey;
use sha2::{Digest, Sha256};

use crate::auth::UnixNanos;

const MAGIC: &[u8; 8] = b"GNGLRPL1";
const BOOT_ID_LEN: usize = 36;
const HEADER_LEN: usize = MAGIC.len() + BOOT_ID_LEN;
const SUM_LEN: usize = 8;
const RECORD_LEN: usize = 1 + 32 + 8 + SUM_LEN;

/// A file beyond this is not read: compaction keeps real ones far smaller.
const MAX_LEN: u64 = 512 * 1024 * 1024;

/// One line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A nonce was accepted from a caller.
    Seen(Hotkey, UnixNanos),
    /// A caller's nonces up to this one count as accepted.
    Floor(Hotkey, UnixNanos),
    /// Everybody's nonces up to this one count as accepted.
    GlobalFloor(UnixNanos),
}

impl Record {
    fn encode(self) -> [u8; RECORD_LEN] {
        let (kind, hotkey, nonce) = match self {
            Self::Seen(hotkey, nonce) => (0, *hotkey.as_bytes(), nonce),
            Self::Floor(hotkey, nonce) => (1, *hotkey.as_bytes(), nonce),
            Self::GlobalFloor(nonce) => (2, [0; 32], nonce),
        };
        let mut bytes = [0; RECORD_LEN];
        bytes[0] = kind;
        bytes[1..33].copy_from_slice(&hotkey);
        bytes[33..41].copy_from_slice(&nonce.0.to_le_bytes());
        let sum = Sha256::digest(&bytes[..41]);
        bytes[41..].copy_from_slice(&sum[..SUM_LEN]);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, sum) = bytes.split_at_checked(RECORD_LEN - SUM_LEN)?;
        if Sha256::digest(fields)[..SUM_LEN] != *sum {
            return None;
        }
        let hotkey = Hotkey::from_bytes(fields[1..33].try_into().ok()?);
        let nonce = UnixNanos(u64::from_le_bytes(fields[33..41].try_into().ok()?));
        match fields[0] {
            0 => Some(Self::Seen(hotkey, nonce)),
            1 => Some(Self::Floor(hotkey, nonce)),
            2 => Some(Self::GlobalFloor(nonce)),
            _ => None,
        }
    }
}

/// Why what an earlier process accepted is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// There is no file.
    Absent,
    /// The machine was started since, or does not say when it was.
    OtherBoot,
    /// The file is not a journal, or a record in it is damaged.
    Damaged,
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    records: usize,
}

impl Journal {
    /// What the process before us accepted.
    pub(super) fn read(path: &Path) -> io::Result<Result<Vec<Record>, Distrust>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(Distrust::Absent));
            }
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_LEN).read_to_end(&mut bytes)?;
        Ok(parse(&bytes, boot_id()))
    }

    /// Replaces the file at `path` by one of these records, all or nothing.
    pub(super) fn create(path: &Path, records: &[Record]) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + records.len() * RECORD_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&boot_id().unwrap_or([0; BOOT_ID_LEN]));
        bytes.extend(records.iter().flat_map(|record| record.encode()));
        let staged = path.with_extension("new");
        let mut file = File::create(&staged)?;
        file.write_all(&bytes)?;
        fs::rename(&staged, path)?;
        Ok(Self { path: path.to_owned(), file, records: records.len() })
    }

    /// Appends one record; when this returns, the process may die.
    pub(super) fn append(&mut self, record: Record) -> io::Result<()> {
        self.file.write_all(&record.encode())?;
        self.records += 1;
        Ok(())
    }

    /// Replaces the file's contents.
    pub(super) fn rewrite(&mut self, records: &[Record]) -> io::Result<()> {
        *self = Self::create(&self.path, records)?;
        Ok(())
    }

    /// Records in the file.
    pub(super) const fn len(&self) -> usize {
        self.records
    }

    /// Removes the file: an absent journal is one that the next process does not believe.
    pub(super) fn disown(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

fn parse(bytes: &[u8], boot: Option<[u8; BOOT_ID_LEN]>) -> Result<Vec<Record>, Distrust> {
    let (header, records) = bytes.split_at_checked(HEADER_LEN).ok_or(Distrust::Damaged)?;
    let (magic, written_in) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(Distrust::Damaged);
    }
    if boot.is_none_or(|boot| written_in != boot) {
        return Err(Distrust::OtherBoot);
    }
    records
        .chunks(RECORD_LEN)
        .map(|record| Record::decode(record).ok_or(Distrust::Damaged))
        .collect()
}

/// Names the running boot of this machine; `None` where the system does not say.
fn boot_id() -> Option<[u8; BOOT_ID_LEN]> {
    fs::read("/proc/sys/kernel/random/boot_id").ok()?.get(..BOOT_ID_LEN)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; BOOT_ID_LEN] = [b'b'; BOOT_ID_LEN];

    fn file() -> Vec<u8> {
        let hotkey = Hotkey::from_bytes([3; 32]);
        let records = [
            Record::GlobalFloor(UnixNanos(1)),
            Record::Floor(hotkey, UnixNanos(2)),
            Record::Seen(hotkey, UnixNanos(3)),
        ];
        let mut bytes = [MAGIC.as_slice(), &BOOT].concat();
        bytes.extend(records.iter().flat_map(|record| record.encode()));
        bytes
    }

    #[test]
    fn a_flipped_or_cut_byte_is_noticed_wherever_it_is() {
        let good = file();
        assert_eq!(parse(&good, Some(BOOT)).unwrap().len(), 3);
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            assert!(parse(&flipped, Some(BOOT)).is_err(), "byte {at} flipped");
            let whole_records = at >= HEADER_LEN && (at - HEADER_LEN).is_multiple_of(RECORD_LEN);
            assert_eq!(parse(&good[..at], Some(BOOT)).is_ok(), whole_records, "cut at {at}");
        }
    }

    #[test]
    fn a_file_of_another_boot_is_not_believed() {
        assert_eq!(parse(&file(), Some([b'c'; BOOT_ID_LEN])), Err(Distrust::OtherBoot));
        assert_eq!(parse(&file(), None), Err(Distrust::OtherBoot));
    }
}
