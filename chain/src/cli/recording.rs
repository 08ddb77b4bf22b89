//! Metadata in a file, as SCALE bytes or as those gzipped.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// How a gzip file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Largest metadata that is read, in bytes: over ten times the real chain's.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The metadata in the file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut metadata = Vec::new();
    GzDecoder::new(&*bytes).take(LARGEST).read_to_end(&mut metadata)?;
    Ok(metadata)
}

/// Writes the metadata, gzipped where the file's name ends with `.gz`.
pub(super) fn write(path: &Path, metadata: &[u8]) -> io::Result<()> {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return fs::write(path, metadata);
    }
    let mut file = GzEncoder::new(File::create(path)?, Compression::best());
    file.write_all(metadata)?;
    file.finish()?.sync_all()
}
