//! Made-up subnets for measurements: the same for every run and every program that reads them.

use scoring::fixed::I64F64;
use scoring::yuma::{
    ConsensusKind, ConsensusSource, EpochInput, EpochParams, LiquidAlpha, NeuronInput,
};

/// Which Yuma is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Stake-weighted bonds.
    Classic,
    /// Each validator's own bonds.
    Yuma3,
    /// Yuma3 with a rate per bond; bonds follow stated weights, so every rate differs.
    Liquid,
}

impl Variant {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Classic, Self::Yuma3, Self::Liquid];

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Yuma3 => "yuma3",
            Self::Liquid => "liquid",
        }
    }
}

/// A dense subnet: `validators` of `neurons` are permitted, hold nearly all stake and weigh
/// everyone but themselves, and hold bonds likewise.
pub(crate) fn dense(neurons: u16, validators: u16, variant: Variant) -> EpochInput {
    let mut random = SplitMix(u64::from(neurons) << 16 | u64::from(validators));
    let quality: Vec<u64> = (0..neurons).map(|_| random.below(50_000)).collect();
    let neuron = |uid: u16| {
        let validates = uid < validators;
        let stake =
            if validates { 1_000_000_000_000 + random.below(900_000_000_000_000) } else { 0 };
        let mut row = |spread: u64| -> Vec<(u16, u16)> {
            let others = (0..neurons).filter(|other| validates && *other != uid);
            others
                .map(|other| {
                    let value = quality[usize::from(other)] + random.below(spread);
                    (other, u16::try_from(value).unwrap_or(u16::MAX))
                })
                .collect()
        };
        NeuronInput {
            stake: I64F64::from_num(stake),
            last_update: 999_990,
            block_at_registration: 1,
            validator_permit: validates,
            earliest_commit: None,
            weights: row(15_000),
            bonds: row(5_000),
        }
    };
    EpochInput {
        block: 1_000_000,
        tempo: 360,
        last_step_block: 999_640,
        emission: 148_000_000_000,
        params: params(validators, variant),
        neurons: (0..neurons).map(neuron).collect(),
        previous_consensus: vec![],
    }
}

fn params(validators: u16, variant: Variant) -> EpochParams {
    let liquid = LiquidAlpha {
        low: 45_875,
        high: 58_982,
        steepness: 1_000,
        consensus: ConsensusSource::Current,
    };
    EpochParams {
        activity_cutoff: 5_000,
        owner_uid: None,
        stake_threshold: 0,
        max_allowed_validators: validators,
        kappa: 32_767,
        bonds_moving_average: 900_000,
        bonds_penalty: if variant == Variant::Liquid { 0 } else { u16::MAX },
        yuma3: variant != Variant::Classic,
        liquid_alpha: (variant == Variant::Liquid).then_some(liquid),
        commit_reveal: false,
        consensus: ConsensusKind::Yuma,
    }
}

/// A small generator, so that every run measures the same numbers.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
