//! What holds for every epoch, whatever its numbers.

use proptest::prelude::*;
use scoring::variants::Rules;
use scoring::yuma::{EpochInput, EpochOutput, NeuronInput, Row, epoch};

use crate::equal::{Shape, input, shapes};

/// The subnet with its neurons in another order: `order[new] = old`.
fn permuted(subnet: &EpochInput, order: &[u16]) -> EpochInput {
    let mut place = vec![0_u16; order.len()];
    for (new, old) in (0_u16..).zip(order) {
        place[usize::from(*old)] = new;
    }
    let row = |row: &Row<u16>| {
        let known = row.iter().filter(|(uid, _)| usize::from(*uid) < place.len());
        let mut moved: Row<u16> =
            known.map(|(uid, value)| (place[usize::from(*uid)], *value)).collect();
        moved.sort_unstable();
        moved
    };
    let neuron = |old: &u16| {
        let neuron = subnet.neurons[usize::from(*old)].clone();
        NeuronInput { weights: row(&neuron.weights), bonds: row(&neuron.bonds), ..neuron }
    };
    let mut input = EpochInput { neurons: order.iter().map(neuron).collect(), ..subnet.clone() };
    input.params.owner_uid = subnet.params.owner_uid.map(|uid| place[usize::from(uid)]);
    input.previous_consensus = vec![];
    input
}

fn by_old<T: Copy>(values: &[T], order: &[u16]) -> Vec<T> {
    let mut places: Vec<(u16, T)> = order.iter().copied().zip(values.iter().copied()).collect();
    places.sort_unstable_by_key(|(old, _)| *old);
    places.into_iter().map(|(_, value)| value).collect()
}

fn run(input: &EpochInput) -> EpochOutput {
    epoch(input, &Rules::SPEC_425).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn an_epoch_never_pays_more_than_it_divides(subnet in shapes(16).prop_flat_map(input)) {
        let output = run(&subnet);
        let paid: u128 = output.emission.iter().map(|rao| u128::from(*rao)).sum();
        prop_assert!(paid <= u128::from(subnet.emission));
        let parts = output.server_emission.iter().zip(&output.validator_emission);
        for ((server, validator), emission) in parts.zip(&output.emission) {
            let sum = u128::from(*server) + u128::from(*validator);
            // Parts and sum are cut separately, so they differ by what a cut of each share pays.
            let cut = (u128::from(subnet.emission) >> 31) + 2;
            prop_assert!(sum.abs_diff(u128::from(*emission)) <= cut);
        }
    }

    // Rows as clients send them: under liquid alpha a shuffled one does depend on its order.
    #[test]
    fn uids_are_only_names(
        (subnet, order) in shapes(16).prop_flat_map(|shape| {
            let n = u16::try_from(shape.neurons).unwrap();
            let order = Just((0..n).collect::<Vec<u16>>()).prop_shuffle();
            (input(Shape { odd: false, ..shape }), order)
        })
    ) {
        let mut subnet = EpochInput { previous_consensus: vec![], ..subnet };
        // With room for everybody no permit depends on a tie.
        subnet.params.max_allowed_validators = u16::MAX;
        let (named, renamed) = (run(&subnet), run(&permuted(&subnet, &order)));
        prop_assert_eq!(by_old(&renamed.emission, &order), named.emission);
        prop_assert_eq!(by_old(&renamed.incentive, &order), named.incentive);
        prop_assert_eq!(by_old(&renamed.dividends, &order), named.dividends);
        prop_assert_eq!(by_old(&renamed.validator_trust, &order), named.validator_trust);
        prop_assert_eq!(by_old(&renamed.consensus, &order), named.consensus);
    }
}
