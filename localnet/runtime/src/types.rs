//! Domain newtypes of the chain. On the wire each is the bare integer inside.

use codec::{CompactAs, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::traits::Get;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::PerU16;

/// How many subnets the storage index leaves room for; mechanism `m` of subnet `n` lives at
/// `m * GLOBAL_MAX_SUBNET_COUNT + n`.
pub const GLOBAL_MAX_SUBNET_COUNT: u16 = 4096;

/// An integer that SCALE writes bare, with its own name in the metadata.
macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode,
            DecodeWithMemTracking, CompactAs, MaxEncodedLen, TypeInfo, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

newtype!(
    /// A subnet.
    NetUid(u16)
);
newtype!(
    /// A mechanism (sub-subnet) of a subnet.
    MechId(u8)
);
newtype!(
    /// Key of the per-mechanism maps, see [`NetUid::index`].
    NetUidStorageIndex(u16)
);
newtype!(
    /// An amount of TAO in rao (1 TAO = 10^9 rao).
    TaoBalance(u64)
);
newtype!(
    /// An amount of a subnet's alpha in its smallest unit (10^-9).
    AlphaBalance(u64)
);

impl NetUid {
    /// The root network.
    pub const ROOT: Self = Self(0);

    /// Key of the per-mechanism maps for mechanism `mecid`.
    pub fn index(self, mecid: MechId) -> NetUidStorageIndex {
        NetUidStorageIndex(
            u16::from(mecid.0).saturating_mul(GLOBAL_MAX_SUBNET_COUNT).saturating_add(self.0),
        )
    }

    /// Key of the per-mechanism maps for the main mechanism.
    pub fn main(self) -> NetUidStorageIndex {
        self.index(MechId(0))
    }

    /// Whether this is the root network.
    pub fn is_root(self) -> bool {
        self == Self::ROOT
    }
}

macro_rules! amount {
    ($name:ident) => {
        impl $name {
            /// The sum, stopping at the largest amount.
            pub fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, stopping at zero.
            pub fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl core::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self(0), Self::saturating_add)
            }
        }
    };
}

amount!(TaoBalance);
amount!(AlphaBalance);

/// A storage default of `N` rao.
pub struct ConstTao<const N: u64>;
impl<const N: u64> Get<TaoBalance> for ConstTao<N> {
    fn get() -> TaoBalance {
        TaoBalance(N)
    }
}

/// A storage default of `N` parts of 65535.
pub struct ConstPerU16<const N: u16>;
impl<const N: u16> Get<PerU16> for ConstPerU16<N> {
    fn get() -> PerU16 {
        PerU16::from_parts(N)
    }
}

/// A storage default of mechanism number `N`.
pub struct ConstMech<const N: u8>;
impl<const N: u8> Get<MechId> for ConstMech<N> {
    fn get() -> MechId {
        MechId(N)
    }
}

/// What a subnet does with the incentive of miners that belong to its owner.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    MaxEncodedLen,
)]
pub enum RecycleOrBurnEnum {
    /// The alpha stays issued and can never be used.
    #[default]
    Burn,
    /// The alpha leaves the issuance and will be emitted again.
    Recycle,
}

/// Which rules turn weights into incentive.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    MaxEncodedLen,
)]
pub enum EpochConsensus {
    /// Yuma consensus.
    #[default]
    Yuma,
    /// The largest staker's weights alone.
    Null,
}

/// Which consensus vector liquid alpha compares weights with.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    MaxEncodedLen,
)]
pub enum ConsensusMode {
    /// That of the running epoch.
    Current,
    /// That of the epoch before.
    Previous,
    /// Chosen by the bonds penalty.
    #[default]
    Auto,
}

/// Where a neuron serves.
#[derive(
    Clone,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    MaxEncodedLen,
)]
pub struct AxonInfo {
    /// Block of the announcement.
    pub block: u64,
    /// Version the neuron reports.
    pub version: u32,
    /// Address as an integer.
    pub ip: u128,
    /// Port.
    pub port: u16,
    /// 4 or 6.
    pub ip_type: u8,
    /// Protocol the neuron reports.
    pub protocol: u8,
    /// Unused.
    pub placeholder1: u8,
    /// Unused.
    pub placeholder2: u8,
}

/// Where a neuron serves its metrics.
#[derive(
    Clone,
    PartialEq,
    Eq,
    Debug,
    Default,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    MaxEncodedLen,
)]
pub struct PrometheusInfo {
    /// Block of the announcement.
    pub block: u64,
    /// Version the neuron reports.
    pub version: u32,
    /// Address as an integer.
    pub ip: u128,
    /// Port.
    pub port: u16,
    /// 4 or 6.
    pub ip_type: u8,
}

/// A neuron's public key for TLS.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
pub struct NeuronCertificate {
    /// At most 64 bytes.
    pub public_key: frame_support::BoundedVec<u8, frame_support::traits::ConstU32<64>>,
    /// Algorithm tag, the first byte of what the neuron sent.
    pub algorithm: u8,
}

/// What a coldkey says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ChainIdentityV2 {
    pub name: Vec<u8>,
    pub url: Vec<u8>,
    pub github_repo: Vec<u8>,
    pub image: Vec<u8>,
    pub discord: Vec<u8>,
    pub description: Vec<u8>,
    pub additional: Vec<u8>,
}

/// What an owner says about a subnet.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
#[allow(missing_docs, reason = "the names say it")]
pub struct SubnetIdentityV3 {
    pub subnet_name: Vec<u8>,
    pub github_repo: Vec<u8>,
    pub subnet_contact: Vec<u8>,
    pub subnet_url: Vec<u8>,
    pub discord: Vec<u8>,
    pub description: Vec<u8>,
    pub logo_url: Vec<u8>,
    pub additional: Vec<u8>,
}

/// Hyperparameters an owner may change once in a while, each with its own clock.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    MaxEncodedLen,
)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Hyperparameter {
    Unknown,
    ServingRateLimit,
    MaxDifficulty,
    AdjustmentAlpha,
    MaxWeightLimit,
    ImmunityPeriod,
    MinAllowedWeights,
    Kappa,
    Rho,
    ActivityCutoff,
    PowRegistrationAllowed,
    MinBurn,
    MaxBurn,
    BondsMovingAverage,
    BondsPenalty,
    CommitRevealEnabled,
    LiquidAlphaEnabled,
    AlphaValues,
    WeightCommitInterval,
    TransferEnabled,
    AlphaSigmoidSteepness,
    Yuma3Enabled,
    BondsResetEnabled,
    ImmuneNeuronLimit,
    RecycleOrBurn,
    MaxAllowedUids,
    BurnHalfLife,
    BurnIncreaseMult,
    SubnetEmissionEnabled,
    MinChildkeyTake,
    ActivityCutoffFactorMilli,
    TriggerEpoch,
    CollateralLockShare,
    CollateralDrainRatio,
    LiquidAlphaConsensusMode,
}

/// Key of the map of last uses.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen,
)]
#[allow(missing_docs, reason = "the names say it")]
pub enum RateLimitKey<AccountId> {
    SetSNOwnerHotkey(NetUid),
    OwnerHyperparamUpdate(NetUid, Hyperparameter),
    NetworkLastRegistered,
    LastTxBlock(AccountId),
    LastTxBlockChildKeyTake(AccountId),
    LastTxBlockDelegateTake(AccountId),
    AddStakeBurn(NetUid),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newtypes_encode_as_the_bare_integer() {
        assert_eq!(NetUid(258).encode(), 258u16.encode());
        assert_eq!(TaoBalance(7).encode(), 7u64.encode());
        assert_eq!(codec::Compact(NetUid(3)).encode(), codec::Compact(3u16).encode());
    }

    #[test]
    fn mechanisms_have_their_own_index() {
        assert_eq!(NetUid(2).index(MechId(1)), NetUidStorageIndex(4098));
        assert_eq!(NetUid(2).main(), NetUidStorageIndex(2));
    }
}
