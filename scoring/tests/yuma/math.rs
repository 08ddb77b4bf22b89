//! The single steps against the chain's helpers.

use scoring::fixed::{I32F32, exp_safe, normalize, to_u16};
use scoring::yuma::math::{liquid_alpha, top_k, top_k_nonzero, weighted_median_columns};
use scoring::yuma::vote::{is_max_limited, max_upscale, max_upscale_fixed, normalized};
use scoring::yuma::{ConsensusSource, LiquidAlpha, Row};
use serde::Deserialize;

#[derive(Deserialize)]
struct WeightsMath {
    alpha_sigmoid: Vec<Sigmoid>,
    exp_safe_bits_in_out: Vec<(i64, i64)>,
    fixed_vectors: Vec<FixedVector>,
    max_upscale: Vec<Upscale>,
    topk: Vec<TopK>,
    weighted_median_col_sparse: Vec<Median>,
}

#[derive(Deserialize)]
struct Sigmoid {
    alpha_bits: i64,
    alpha_high_u16: u16,
    alpha_low_u16: u16,
    bond: i64,
    consensus: i64,
    steepness: i16,
    weight: i64,
}

#[derive(Deserialize)]
struct FixedVector {
    in_bits: Vec<i64>,
    normalized_bits: Vec<i64>,
    proportion_u16: Vec<u16>,
    max_upscale_u16: Vec<u16>,
}

#[derive(Deserialize)]
struct Upscale {
    #[serde(rename = "in")]
    weights: Vec<u16>,
    max_upscaled: Vec<u16>,
    normalize_weights: Vec<u16>,
    check_vec_max_limited_655_6553_32767_65535: Vec<bool>,
}

#[derive(Deserialize)]
struct TopK {
    in_bits: Vec<i64>,
    is_topk: Vec<bool>,
    is_topk_nonzero: Vec<bool>,
    k: usize,
}

#[expect(clippy::struct_field_names, reason = "the recording's names")]
#[derive(Deserialize)]
struct Median {
    columns: usize,
    majority_bits: i64,
    median_bits: Vec<i64>,
    scores_sparse_bits: Vec<Row<i64>>,
    stake_bits: Vec<i64>,
}

fn recorded() -> WeightsMath {
    serde_json::from_str(include_str!("../../testdata/weights_math.json")).unwrap()
}

fn fixed(bits: &[i64]) -> Vec<I32F32> {
    bits.iter().copied().map(I32F32::from_bits).collect()
}

fn bits(values: &[I32F32]) -> Vec<i64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn liquid_alpha_matches_the_chain() {
    for case in recorded().alpha_sigmoid {
        let params = LiquidAlpha {
            low: case.alpha_low_u16,
            high: case.alpha_high_u16,
            steepness: case.steepness,
            consensus: ConsensusSource::Current,
        };
        let at = I32F32::from_bits;
        let alpha = liquid_alpha(&params, at(case.weight), at(case.bond), at(case.consensus));
        assert_eq!(alpha.to_bits(), case.alpha_bits);
    }
}

#[test]
fn exp_matches_the_chain() {
    for (x, exp) in recorded().exp_safe_bits_in_out {
        assert_eq!(exp_safe(I32F32::from_bits(x)).to_bits(), exp, "exp of bits {x}");
    }
}

#[test]
fn normalisation_and_proportions_match_the_chain() {
    for case in recorded().fixed_vectors {
        let mut vector = fixed(&case.in_bits);
        let proportions: Vec<u16> = vector.iter().copied().map(to_u16).collect();
        assert_eq!(max_upscale_fixed(&vector), case.max_upscale_u16);
        normalize(&mut vector);
        assert_eq!(bits(&vector), case.normalized_bits);
        assert_eq!(proportions, case.proportion_u16);
    }
}

#[test]
fn top_k_matches_the_chain() {
    for case in recorded().topk {
        let vector = fixed(&case.in_bits);
        assert_eq!(top_k(&vector, case.k), case.is_topk, "top {}", case.k);
        assert_eq!(top_k_nonzero(&vector, case.k), case.is_topk_nonzero, "top {}", case.k);
    }
}

#[test]
fn set_weights_are_scaled_and_limited_as_on_the_chain() {
    for case in recorded().max_upscale {
        assert_eq!(max_upscale(&case.weights), case.max_upscaled);
        assert_eq!(normalized(&case.weights), case.normalize_weights);
        let limited: Vec<bool> =
            [655, 6_553, 32_767, 65_535].map(|limit| is_max_limited(&case.weights, limit)).to_vec();
        assert_eq!(limited, case.check_vec_max_limited_655_6553_32767_65535);
    }
}

#[test]
fn the_weighted_median_matches_the_chain() {
    for case in recorded().weighted_median_col_sparse {
        let row = |row: &Row<i64>| {
            row.iter().map(|(uid, bits)| (*uid, I32F32::from_bits(*bits))).collect::<Row<I32F32>>()
        };
        let rows: Vec<Row<I32F32>> = case.scores_sparse_bits.iter().map(row).collect();
        let majority = I32F32::from_bits(case.majority_bits);
        let medians =
            weighted_median_columns(&fixed(&case.stake_bits), &rows, case.columns, majority);
        assert_eq!(bits(&medians), case.median_bits);
    }
}
