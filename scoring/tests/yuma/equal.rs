//! The fast path against the plain steps, on anything.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRng;
use scoring::fixed::{I32F32, I64F64, exp_safe};
use scoring::variants::Rules;
use scoring::yuma::{
    ConsensusKind, ConsensusSource, EpochInput, EpochParams, LiquidAlpha, NeuronInput, Row, epoch,
    exp_bits, explain,
};

/// Shapes of subnets: how many neurons, how full their rows are in percent, and whether some rows
/// are as no client should send them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) neurons: usize,
    pub(crate) filled: u8,
    pub(crate) odd: bool,
}

/// A number that is often at an end of its range.
fn edgy(max: u16) -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(1), Just(max / 2), Just(max - 1), Just(max), 0..=max]
}

fn params(neurons: usize) -> impl Strategy<Value = EpochParams> {
    let consensus = prop_oneof![
        Just(ConsensusSource::Current),
        Just(ConsensusSource::Previous),
        Just(ConsensusSource::Auto)
    ];
    let liquid = (edgy(u16::MAX), edgy(u16::MAX), -10_000..10_000_i16, consensus).prop_map(
        |(low, high, steepness, consensus)| LiquidAlpha { low, high, steepness, consensus },
    );
    let average = prop_oneof![Just(0), Just(900_000), 0..=1_000_001_u64];
    let owner = proptest::option::of(0..u16::try_from(neurons).unwrap());
    let flags = (any::<bool>(), any::<bool>(), proptest::option::of(liquid));
    let threshold = prop_oneof![Just(0), 0..1_000_000_u64];
    (edgy(u16::MAX), edgy(u16::MAX), average, owner, flags, threshold, 0..=70_u16).prop_map(
        |(kappa, bonds_penalty, bonds_moving_average, owner_uid, flags, threshold, validators)| {
            let (yuma3, commit_reveal, liquid_alpha) = flags;
            EpochParams {
                activity_cutoff: 5_000,
                owner_uid,
                stake_threshold: threshold,
                max_allowed_validators: validators,
                kappa,
                bonds_moving_average,
                bonds_penalty,
                yuma3,
                liquid_alpha,
                commit_reveal,
                consensus: ConsensusKind::Yuma,
            }
        },
    )
}

fn stake() -> impl Strategy<Value = I64F64> {
    let rao = prop_oneof![
        3 => Just(0_u64),
        1 => Just(1),
        4 => 1..1_000_000_u64,
        4 => 0..21_000_000_000_000_000_u64,
        1 => Just(1 << 50)
    ];
    (rao, any::<u32>()).prop_map(|(rao, fraction)| {
        I64F64::from_num(rao) + I64F64::from_bits(i128::from(fraction) * i128::from(rao > 1))
    })
}

/// A stored row: ascending, or by a small chance shuffled, doubled, or with uids out of range.
fn row(shape: Shape) -> BoxedStrategy<Row<u16>> {
    let n = u16::try_from(shape.neurons).unwrap();
    let value = prop_oneof![2 => Just(0), 2 => Just(u16::MAX), 12 => any::<u16>()];
    let listed = proptest::collection::vec((0..100_u8, value), shape.neurons);
    let ascending = listed.prop_map(move |cells| -> Row<u16> {
        let cells = (0..n).zip(cells);
        cells.filter(|(_, (roll, _))| *roll < shape.filled).map(|(uid, (_, v))| (uid, v)).collect()
    });
    let odd = proptest::collection::vec((0..n.saturating_add(9), any::<u16>()), 0..12);
    if shape.odd {
        prop_oneof![6 => ascending, 1 => odd, 1 => Just(Row::new())].boxed()
    } else {
        prop_oneof![8 => ascending, 1 => Just(Row::new())].boxed()
    }
}

fn neuron(shape: Shape) -> impl Strategy<Value = NeuronInput> {
    let blocks = (90_000..100_001_u64, prop_oneof![4 => 1..80_000_u64, 1 => 89_000..100_001_u64]);
    let commit = proptest::option::of(85_000..100_000_u64);
    (stake(), blocks, any::<bool>(), commit, row(shape), row(shape)).prop_map(
        |(stake, (last_update, block_at_registration), permit, earliest_commit, weights, bonds)| {
            NeuronInput {
                stake,
                last_update,
                block_at_registration,
                validator_permit: permit,
                earliest_commit,
                weights,
                bonds,
            }
        },
    )
}

pub(crate) fn input(shape: Shape) -> impl Strategy<Value = EpochInput> {
    let n = shape.neurons;
    let neurons = proptest::collection::vec(neuron(shape), n);
    let last_step = prop_oneof![Just(0), 95_000..100_000_u64];
    let emission = prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    let previous = prop_oneof![
        Just(vec![]),
        proptest::collection::vec(edgy(u16::MAX), n),
        proptest::collection::vec(edgy(u16::MAX), 1)
    ];
    (params(n), neurons, last_step, emission, previous).prop_map(
        |(params, neurons, last_step_block, emission, previous_consensus)| EpochInput {
            block: 100_000,
            tempo: 360,
            last_step_block,
            emission,
            params,
            neurons,
            previous_consensus,
        },
    )
}

pub(crate) fn shapes(max: usize) -> impl Strategy<Value = Shape> {
    (1..=max, prop_oneof![Just(100), Just(10), 0..=100_u8], proptest::bool::weighted(0.2))
        .prop_map(|(neurons, filled, odd)| Shape { neurons, filled, odd })
}

fn check(input: &EpochInput) -> Result<(), TestCaseError> {
    for rules in Rules::ALL {
        prop_assert_eq!(epoch(input, &rules), explain(input, &rules).map(|plain| plain.output));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn small_subnets_are_computed_alike(input in shapes(12).prop_flat_map(input)) {
        check(&input)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12, max_shrink_iters: 64, ..ProptestConfig::default()
    })]

    #[test]
    fn full_subnets_with_liquid_alpha_and_masks_are_computed_alike(
        mut input in input(Shape { neurons: 256, filled: 90, odd: false }),
        low in 0..u16::MAX,
    ) {
        input.params.yuma3 = true;
        input.params.commit_reveal = true;
        input.params.liquid_alpha.get_or_insert(LiquidAlpha {
            low, high: u16::MAX, steepness: 1_000, consensus: ConsensusSource::Current,
        });
        check(&input)?;
    }

    #[test]
    fn full_subnets_are_computed_alike(input in input(Shape { neurons: 256, filled: 100, odd: false })) {
        check(&input)?;
    }
}

/// Five equal validators, of which kappa asks for exactly four.
pub(crate) fn tied(weights: [u16; 5]) -> EpochInput {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let shape = Shape { neurons: 7, filled: 0, odd: false };
    let mut input = input(shape).new_tree(&mut runner).unwrap().current();
    for (uid, neuron) in input.neurons.iter_mut().enumerate() {
        let weight = weights.get(uid).copied();
        *neuron = NeuronInput {
            stake: I64F64::from_num(u8::from(uid < 5)),
            last_update: 99_999,
            block_at_registration: 1,
            validator_permit: uid < 5,
            weights: weight.map_or(vec![], |weight| vec![(5, weight), (6, u16::MAX - weight)]),
            ..NeuronInput::default()
        };
    }
    input.params.kappa = 52_428;
    input.params.stake_threshold = 0;
    input.params.commit_reveal = false;
    input
}

#[test]
fn support_that_equals_the_minority_is_not_enough() {
    for weights in [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [9, 2, 2, 9, 3], [7; 5], [0, 0, 9, 9, 9]] {
        let input = tied(weights);
        check(&input).unwrap();
        let output = epoch(&input, &Rules::SPEC_425).unwrap();
        let mut levels = weights;
        levels.sort_unstable();
        assert_eq!(output.consensus[5], levels[1].saturating_sub(1), "of {weights:?}");
    }
}

/// Exponents as the proofs below walk them: every size of the clamped range, and beyond.
fn exponent(rng: &mut TestRng) -> i64 {
    let size = rng.next_u64() >> (rng.next_u32() % 64);
    let signed = i64::try_from(size % (21 << 32)).unwrap();
    if rng.next_u32().is_multiple_of(2) { signed } else { -signed }
}

fn exp_is_the_chains(inputs: u64) {
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for _ in 0..inputs {
        let x = exponent(&mut rng);
        assert_eq!(exp_bits(x), exp_safe(I32F32::from_bits(x)).to_bits(), "exp of bits {x}");
    }
}

#[test]
fn exp_equals_the_chains_on_a_sample() {
    exp_is_the_chains(200_000);
    for x in [0, 1, -1, 1 << 32, -(1 << 32), 20 << 32, -(20 << 32), i64::MAX, i64::MIN + 1] {
        assert_eq!(exp_bits(x), exp_safe(I32F32::from_bits(x)).to_bits(), "exp of bits {x}");
    }
}

#[test]
#[ignore = "proves on 10^8 inputs what the sample suggests; a minute in release"]
fn exp_equals_the_chains_on_a_hundred_million() {
    exp_is_the_chains(100_000_000);
}
