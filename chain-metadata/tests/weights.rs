//! Weights are, bit for bit, what the Python SDK makes of the same shares.

use chain_metadata::{Uid, Weights, WeightsError};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    uids: Vec<u16>,
    weights: Vec<f64>,
    out_uids: Vec<u16>,
    out_values: Vec<u16>,
}

fn from(shares: impl IntoIterator<Item = (u16, f64)>) -> Result<Option<Weights>, WeightsError> {
    let shares: Vec<_> = shares.into_iter().map(|(uid, share)| (Uid(uid), share)).collect();
    Weights::from_shares(&shares)
}

#[test]
fn weights_are_the_sdks_to_the_bit() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/normalize.json")).unwrap();
    assert!(cases.len() >= 50);
    for case in cases {
        let weights = from(case.uids.into_iter().zip(case.weights)).unwrap();
        let mut expected: Vec<_> = case.out_uids.into_iter().zip(case.out_values).collect();
        expected.sort_unstable();
        let ours: Vec<_> =
            weights.iter().flat_map(Weights::iter).map(|(uid, value)| (uid.0, value)).collect();
        assert_eq!(ours, expected);
    }
}

#[test]
fn nothing_to_pay_is_no_weights() {
    assert_eq!(from([]), Ok(None));
    assert_eq!(from([(3, 0.0), (4, -0.0)]), Ok(None));
}

#[test]
fn a_share_that_is_no_number_is_named() {
    assert!(matches!(
        from([(1, 0.5), (3, f64::NAN)]),
        Err(WeightsError::NotFinite { uid: Uid(3), .. })
    ));
    assert!(matches!(from([(3, f64::INFINITY)]), Err(WeightsError::NotFinite { .. })));
    assert!(matches!(from([(3, -1e-300)]), Err(WeightsError::Negative { .. })));
    assert_eq!(from([(3, 0.5), (3, 0.5)]), Err(WeightsError::Duplicate { uid: Uid(3) }));
}

#[test]
fn a_stored_row_is_checked_on_the_way_in() {
    let read = |text| serde_json::from_str::<Weights>(text);
    assert!(read("[[1,65535],[2,7]]").is_ok());
    for bad in ["[]", "[[1,7]]", "[[2,65535],[1,7]]", "[[1,65535],[1,7]]", "[[1,65535],[2,0]]"] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn weights_are_valid_for_any_shares(shares in prop::collection::btree_map(0u16..512, 0.0..1e300f64, 0..64)) {
        if let Some(weights) = from(shares.clone()).unwrap() {
            let row: Vec<(Uid, u16)> = weights.clone().into();
            prop_assert_eq!(Weights::try_from(row), Ok(weights));
        } else {
            prop_assert!(shares.values().all(|&share| share <= 0.0));
        }
    }
}
