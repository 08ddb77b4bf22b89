//! Every recorded epoch: every output, every intermediate.

use std::io::Read;

use flate2::read::GzDecoder;
use scoring::fixed::I32F32;
use scoring::variants::Rules;
use scoring::yuma::case::{Cases, Inputs, Outputs};
use scoring::yuma::{EpochInput, Row, Steps, epoch, explain};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    name: String,
    inputs: Inputs,
    intermediates_bits: Option<Intermediates>,
    outputs: Outputs,
}

/// Raw bits of what the chain computed on the way.
#[expect(clippy::struct_field_names, reason = "the recording's names")]
#[derive(Deserialize, PartialEq, Debug)]
struct Intermediates {
    stake_i32f32: Vec<i64>,
    active_stake_i32f32: Vec<i64>,
    consensus_i32f32: Vec<i64>,
    validator_trust_i32f32: Vec<i64>,
    ranks_prenorm_i32f32: Vec<i64>,
    incentive_i32f32: Vec<i64>,
    dividends_i32f32: Vec<i64>,
    kappa_i32f32: i64,
    weights_masked_normalised_i32f32: Option<Vec<Row<i64>>>,
    clipped_weights_i32f32: Option<Vec<Row<i64>>>,
    ema_bonds_i32f32: Option<Vec<Row<i64>>>,
}

impl Intermediates {
    /// Ours, with those matrices that `like` has.
    fn of(steps: &Steps, like: &Self) -> Self {
        let bits = |values: &[I32F32]| values.iter().map(|value| value.to_bits()).collect();
        let row = |row: &Row<I32F32>| row.iter().map(|(uid, v)| (*uid, v.to_bits())).collect();
        let rows = |rows: &[Row<I32F32>]| rows.iter().map(row).collect::<Vec<_>>();
        Self {
            stake_i32f32: bits(&steps.stake),
            active_stake_i32f32: bits(&steps.active_stake),
            consensus_i32f32: bits(&steps.consensus),
            validator_trust_i32f32: bits(&steps.validator_trust),
            ranks_prenorm_i32f32: bits(&steps.ranks),
            incentive_i32f32: bits(&steps.incentive),
            dividends_i32f32: bits(&steps.dividends),
            kappa_i32f32: steps.kappa.to_bits(),
            weights_masked_normalised_i32f32: like
                .weights_masked_normalised_i32f32
                .as_ref()
                .map(|_| rows(&steps.weights)),
            clipped_weights_i32f32: like
                .clipped_weights_i32f32
                .as_ref()
                .map(|_| rows(&steps.clipped)),
            ema_bonds_i32f32: like.ema_bonds_i32f32.as_ref().map(|_| rows(&steps.bonds)),
        }
    }
}

fn recorded(gz: &[u8]) -> Vec<Recorded> {
    let mut json = String::new();
    GzDecoder::new(gz).read_to_string(&mut json).unwrap();
    serde_json::from_str::<Cases<Recorded>>(&json).unwrap().cases
}

/// Checks every case of a file, in the plain steps and as the chain runs it; returns how many
/// epochs and how many sets of intermediates were compared.
fn check(gz: &[u8]) -> (usize, usize) {
    let mut compared = (0, 0);
    for case in recorded(gz) {
        let input = EpochInput::try_from(case.inputs).unwrap();
        let explained = explain(&input, &Rules::SPEC_425).unwrap();
        if let Some(theirs) = case.intermediates_bits {
            let ours = Intermediates::of(&explained.steps, &theirs);
            assert_eq!(ours, theirs, "{}", case.name);
            compared.1 += 1;
        }
        assert_eq!(Outputs::from(explained.output), case.outputs, "{}", case.name);
        let fast = epoch(&input, &Rules::SPEC_425).unwrap();
        assert_eq!(Outputs::from(fast), case.outputs, "{}", case.name);
        compared.0 += 1;
    }
    compared
}

#[test]
fn small_subnets_match_the_chain_to_the_bit() {
    assert_eq!(check(include_bytes!("../../testdata/epoch_n4_to_n64.json.gz")), (120, 119));
}

#[test]
fn full_subnets_match_the_chain_to_the_bit() {
    assert_eq!(check(include_bytes!("../../testdata/epoch_n256.json.gz")), (3, 3));
}

#[test]
fn random_subnets_match_the_chain_to_the_bit() {
    assert_eq!(check(include_bytes!("../../testdata/epoch_random.json.gz")).0, 104);
}
