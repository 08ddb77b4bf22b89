//! The fields of a commitment and their compact encoding.

use crate::types::TaoBalance;
use codec::{Decode, DecodeWithMemTracking, Encode, Error, Input, Output};
use frame_support::BoundedVec;
use frame_support::traits::ConstU32;
use scale_info::{Path, Type, TypeInfo, build::Fields, build::Variants};

/// Longest raw field that is written without a length prefix.
const MAX_RAW_BYTES: u8 = 128;
/// Longest raw field of all.
const MAX_BIG_RAW_BYTES: u32 = 512;
/// Longest timelocked field.
const MAX_TIMELOCKED_BYTES: u32 = 1024;
/// Most fields that can be decoded; the pallet asks for fewer.
const MAX_DECODED_FIELDS: u32 = 3;

/// One field.
///
/// On the wire: tag 0 is nothing, tags 1 to 129 raw bytes of length tag - 1, 130 to 133 hashes,
/// 134 a timelocked text, 135 a request to reset bonds, 136 raw bytes with their length, 137 a
/// timelocked text that could not be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// Nothing.
    None,
    /// At most 128 bytes.
    Raw(BoundedVec<u8, ConstU32<{ MAX_RAW_BYTES as u32 }>>),
    /// A hash by the named function.
    BlakeTwo256([u8; 32]),
    /// A hash by the named function.
    Sha256([u8; 32]),
    /// A hash by the named function.
    Keccak256([u8; 32]),
    /// A hash by the named function.
    ShaThree256([u8; 32]),
    /// A text that a round of the beacon opens.
    TimelockEncrypted {
        /// The ciphertext.
        encrypted: BoundedVec<u8, ConstU32<MAX_TIMELOCKED_BYTES>>,
        /// The round.
        reveal_round: u64,
    },
    /// The neuron wants the bonds on it to start over.
    ResetBondsFlag,
    /// At most 512 bytes.
    BigRaw(BoundedVec<u8, ConstU32<MAX_BIG_RAW_BYTES>>),
    /// A timelocked text that its round did not open.
    TimelockRevealFailed {
        /// The ciphertext.
        encrypted: BoundedVec<u8, ConstU32<MAX_TIMELOCKED_BYTES>>,
        /// The round.
        reveal_round: u64,
    },
}

/// First tag of the hashes.
const HASH_TAG: u8 = MAX_RAW_BYTES + 2;

impl Data {
    /// Bytes that the field counts.
    fn space(&self) -> usize {
        match self {
            Self::None | Self::ResetBondsFlag => 0,
            Self::Raw(bytes) => bytes.len(),
            Self::BigRaw(bytes) => bytes.len(),
            Self::TimelockEncrypted { encrypted, .. }
            | Self::TimelockRevealFailed { encrypted, .. } => encrypted.len(),
            Self::BlakeTwo256(hash)
            | Self::Sha256(hash)
            | Self::Keccak256(hash)
            | Self::ShaThree256(hash) => hash.len(),
        }
    }
}

impl Encode for Data {
    fn encode_to<O: Output + ?Sized>(&self, out: &mut O) {
        match self {
            Self::None => out.push_byte(0),
            Self::Raw(bytes) => {
                let length = u8::try_from(bytes.len()).unwrap_or(MAX_RAW_BYTES);
                out.push_byte(length + 1);
                out.write(bytes);
            }
            Self::BlakeTwo256(hash) => (HASH_TAG, hash).encode_to(out),
            Self::Sha256(hash) => (HASH_TAG + 1, hash).encode_to(out),
            Self::Keccak256(hash) => (HASH_TAG + 2, hash).encode_to(out),
            Self::ShaThree256(hash) => (HASH_TAG + 3, hash).encode_to(out),
            Self::TimelockEncrypted { encrypted, reveal_round } => {
                (HASH_TAG + 4, encrypted, reveal_round).encode_to(out);
            }
            Self::ResetBondsFlag => out.push_byte(HASH_TAG + 5),
            Self::BigRaw(bytes) => (HASH_TAG + 6, bytes).encode_to(out),
            Self::TimelockRevealFailed { encrypted, reveal_round } => {
                (HASH_TAG + 7, encrypted, reveal_round).encode_to(out);
            }
        }
    }
}

impl codec::EncodeLike for Data {}
impl DecodeWithMemTracking for Data {}

impl Decode for Data {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let tag = input.read_byte()?;
        Ok(match tag {
            0 => Self::None,
            length if length < HASH_TAG => {
                let mut bytes = vec![0; usize::from(length - 1)];
                input.read(&mut bytes)?;
                Self::Raw(bytes.try_into().map_err(|_| Error::from("raw field too long"))?)
            }
            130 => Self::BlakeTwo256(Decode::decode(input)?),
            131 => Self::Sha256(Decode::decode(input)?),
            132 => Self::Keccak256(Decode::decode(input)?),
            133 => Self::ShaThree256(Decode::decode(input)?),
            134 => Self::TimelockEncrypted {
                encrypted: Decode::decode(input)?,
                reveal_round: Decode::decode(input)?,
            },
            135 => Self::ResetBondsFlag,
            136 => Self::BigRaw(Decode::decode(input)?),
            137 => Self::TimelockRevealFailed {
                encrypted: Decode::decode(input)?,
                reveal_round: Decode::decode(input)?,
            },
            _ => return Err("unknown field tag".into()),
        })
    }
}

/// Adds the variant of raw fields of `N` bytes.
fn raw<const N: usize>(variants: Variants, name: &'static str) -> Variants {
    let index = u8::try_from(N + 1).unwrap_or(u8::MAX);
    variants
        .variant(name, |v| v.index(index).fields(Fields::unnamed().field(|f| f.ty::<[u8; N]>())))
}

macro_rules! raws {
    ($variants:expr, $($n:literal)*) => {{ let v = $variants; $( let v = raw::<$n>(v, concat!("Raw", $n)); )* v }};
}

impl TypeInfo for Data {
    type Identity = Self;

    fn type_info() -> Type {
        let hash = |index: u8| {
            move |v: scale_info::build::VariantBuilder<_>| {
                v.index(index).fields(Fields::unnamed().field(|f| f.ty::<[u8; 32]>()))
            }
        };
        let timelocked = |index: u8| {
            move |v: scale_info::build::VariantBuilder<_>| {
                v.index(index).fields(
                    Fields::named()
                        .field(|f| {
                            f.name("encrypted")
                                .ty::<BoundedVec<u8, ConstU32<MAX_TIMELOCKED_BYTES>>>()
                        })
                        .field(|f| f.name("reveal_round").ty::<u64>()),
                )
            }
        };
        let variants = Variants::new().variant("None", |v| v.index(0));
        let variants = raws!(variants, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22
            23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51
            52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80
            81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106
            107 108 109 110 111 112 113 114 115 116 117 118 119 120 121 122 123 124 125 126 127
            128);
        let variants = variants
            .variant("BlakeTwo256", hash(HASH_TAG))
            .variant("Sha256", hash(HASH_TAG + 1))
            .variant("Keccak256", hash(HASH_TAG + 2))
            .variant("ShaThree256", hash(HASH_TAG + 3))
            .variant("TimelockEncrypted", timelocked(HASH_TAG + 4))
            .variant("ResetBondsFlag", |v| v.index(HASH_TAG + 5))
            .variant("BigRaw", |v| {
                v.index(HASH_TAG + 6).fields(
                    Fields::unnamed()
                        .field(|f| f.ty::<BoundedVec<u8, ConstU32<MAX_BIG_RAW_BYTES>>>()),
                )
            })
            .variant("TimelockRevealFailed", timelocked(HASH_TAG + 7));
        Type::builder().path(Path::new("Data", module_path!())).variant(variants)
    }
}

/// What a neuron commits.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CommitmentInfo {
    /// At most three fields.
    pub fields: BoundedVec<Data, ConstU32<MAX_DECODED_FIELDS>>,
}

impl CommitmentInfo {
    /// Bytes that the commitment counts.
    pub fn space(&self) -> u64 {
        self.fields.iter().map(|field| field.space() as u64).sum()
    }

    /// Earliest round that opens one of the fields.
    pub fn reveal_round(&self) -> Option<u64> {
        self.fields
            .iter()
            .filter_map(|field| match field {
                Data::TimelockEncrypted { reveal_round, .. } => Some(*reveal_round),
                _ => None,
            })
            .min()
    }
}

/// A commitment with its block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Registration<BlockNumber> {
    /// TAO held for it.
    pub deposit: TaoBalance,
    /// Block of the commitment.
    pub block: BlockNumber,
    /// The commitment.
    pub info: CommitmentInfo,
}

/// Space used in an epoch.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct UsageTracker {
    /// The epoch.
    pub last_epoch: u64,
    /// Bytes.
    pub used_space: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_field_is_its_length_and_its_bytes() {
        let field = Data::Raw(vec![7, 8].try_into().unwrap());
        assert_eq!(field.encode(), [3, 7, 8]);
        assert_eq!(Data::decode(&mut &[3u8, 7, 8][..]), Ok(field));
    }

    #[test]
    fn every_tag_decodes_to_what_encodes_to_it() {
        let mut bytes = vec![0u8; 2048];
        for tag in 0..=137u8 {
            bytes[0] = tag;
            let field = Data::decode(&mut &bytes[..]).unwrap();
            assert_eq!(field.encode()[0], tag);
        }
        bytes[0] = 138;
        assert!(Data::decode(&mut &bytes[..]).is_err());
    }
}
