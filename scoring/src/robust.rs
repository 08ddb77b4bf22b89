//! Aggregates that a minority cannot move at will.

/// The weighted lower median: the least value at which the values up to it hold at least half of all
/// weight. Whoever holds less than half cannot push it past what the others said. `None` without
/// weight, or where a value or a weight is no finite number or a weight is negative.
pub fn weighted_median(values: &[(f64, f64)]) -> Option<f64> {
    let sound =
        |(value, weight): &(f64, f64)| value.is_finite() && weight.is_finite() && *weight >= 0.0;
    if !values.iter().all(sound) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let total: f64 = sorted.iter().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        return None;
    }
    let mut below = 0.0;
    let median = sorted.iter().find(|(_, weight)| {
        below += weight;
        below * 2.0 >= total && *weight > 0.0
    });
    median.map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_half_the_weight_cannot_move_it_past_the_others() {
        let honest = [(1.0, 0.3), (1.1, 0.3)];
        let median = weighted_median(&[honest[0], honest[1], (1e9, 0.4)]).unwrap();
        assert!((1.0..=1.1).contains(&median), "{median}");
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(weighted_median(&[]), None);
        assert_eq!(weighted_median(&[(1.0, 0.0)]), None);
        assert_eq!(weighted_median(&[(f64::NAN, 1.0)]), None);
    }
}
