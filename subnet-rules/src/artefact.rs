//! What miners commit on chain instead of answering: bytes behind a digest.

use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Most bytes of an artefact that are fetched.
pub const ARTEFACT_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of one piece of it.
pub const PIECE_MAX: usize = 1024 * 1024;
/// Where a miner hands out artefacts by digest.
pub const PATH: &str = "/v1/artefact";
/// First word of the record on chain.
pub const MARK: &str = "ganglion-artefact/1";
/// The location that stands for the miner's own axon.
const AXON: &str = "axon";

/// What a commitment is: the digest of the artefact's bytes and the hotkey, so that a copied digest is
/// nobody else's.
pub fn commitment(artefact: &Digest, hotkey: &Hotkey) -> Digest {
    Digest::of("ganglion/artefact/1", &[&artefact.0, hotkey.as_bytes()])
}

/// The record on chain: which bytes, and where they lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Where they are; `None` is the miner's axon.
    pub location: Option<String>,
}

impl Declared {
    /// The record's fields.
    pub fn fields(&self) -> Vec<Vec<u8>> {
        let location = self.location.as_deref().unwrap_or(AXON);
        vec![format!("{MARK} {} {location}", self.digest).into_bytes()]
    }

    /// Reads it out of a commitment's fields, whatever else they hold.
    pub fn from_fields(fields: &[Vec<u8>]) -> Option<Self> {
        fields.iter().find_map(|field| {
            let mut words = std::str::from_utf8(field).ok()?.split(' ');
            if words.next() != Some(MARK) {
                return None;
            }
            let digest = words.next()?.parse().ok()?;
            let location = words.next().filter(|location| *location != AXON);
            Some(Self { digest, location: location.map(str::to_owned) })
        })
    }
}

/// The question for one piece of an artefact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Of which.
    pub digest: Digest,
    /// First byte.
    pub from: u64,
}

/// A commitment that holds other records already and has no room for this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the hotkey's commitment holds {held} fields of other records: there is no room for {wanted} of {most}"
)]
pub struct NoRoom {
    held: usize,
    wanted: usize,
    most: usize,
}

/// The fields of a commitment in which one record was replaced: it begins with the word `mark` and has as
/// many fields as the new one. Whatever others wrote stays as it is.
///
/// # Errors
/// More than `most` fields.
pub fn compose(
    held: &[Vec<u8>],
    mark: &str,
    record: &[Vec<u8>],
    most: usize,
) -> Result<Vec<Vec<u8>>, NoRoom> {
    let begins = |field: &Vec<u8>| {
        field.strip_prefix(mark.as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '))
    };
    let mut fields = Vec::with_capacity(most);
    let mut at = 0;
    while let Some(field) = held.get(at) {
        if begins(field) {
            at += record.len();
        } else {
            fields.push(field.clone());
            at += 1;
        }
    }
    if fields.len() + record.len() > most {
        return Err(NoRoom { held: fields.len(), wanted: record.len(), most });
    }
    fields.extend(record.iter().cloned());
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::Publication;

    #[test]
    fn an_artefacts_record_survives_the_chain_beside_others() {
        for location in [None, Some("https://models.example/m".to_owned())] {
            let declared = Declared { digest: Digest([7; 32]), location };
            let mut fields = vec![b"somebody else's".to_vec()];
            fields.extend(declared.fields());
            assert_eq!(Declared::from_fields(&fields), Some(declared));
        }
        assert_eq!(Declared::from_fields(&[b"ganglion-artefact/1 zz axon".to_vec()]), None);
    }

    #[test]
    fn one_slot_holds_records_of_several_writers_and_none_erases_anothers() {
        let published = Publication::new(Digest([1; 32]), "/srv/rules").unwrap();
        let artefact = Declared { digest: Digest([2; 32]), location: None };
        let rule = compose(&[], crate::publication::MARK, &published.fields(), 3).unwrap();
        let both = compose(&rule, MARK, &artefact.fields(), 3).unwrap();
        assert_eq!(Publication::from_fields(&both), Some(published));
        assert_eq!(Declared::from_fields(&both), Some(artefact));
        let newer = Publication::new(Digest([3; 32]), "/srv/newer").unwrap();
        let both = compose(&both, crate::publication::MARK, &newer.fields(), 3).unwrap();
        assert_eq!((both.len(), Publication::from_fields(&both)), (3, Some(newer)));
        let foreign = vec![b"a".to_vec(), b"b".to_vec()];
        let full = compose(&foreign, crate::publication::MARK, &both[1..], 3);
        assert!(full.unwrap_err().to_string().contains("2 fields"));
    }
}
