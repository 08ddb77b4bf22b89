//! Hedge: mixing experts so that the mixture is hardly worse than the best of them.
//!
//! Y. Freund, R. Schapire, *A decision-theoretic generalization of on-line learning*, JCSS 1997. With
//! losses in 0..=1, N experts and T rounds, `rate(N, T)` keeps the mixture's expected loss within
//! √(T·ln N / 2) of the best expert's (N. Cesa-Bianchi, G. Lugosi, *Prediction, Learning, and Games*,
//! theorem 2.2). Kept for each context apart, the best expert may be another one in each.

/// The learning rate √(8·ln `experts` / `rounds`); 0 where there is nothing to choose.
pub fn rate(experts: usize, rounds: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let (experts, rounds) = (experts.max(1) as f64, rounds.max(1) as f64);
    libm::sqrt(8.0 * libm::log(experts) / rounds)
}

/// Weights ∝ e^(−`rate`·loss) of experts with these cumulative losses, in their order, summing to 1.
/// Losses are taken relative to the least, so nothing underflows to nobody; an infinite loss has
/// weight 0. Empty where no loss is finite.
pub fn weights(losses: &[f64], rate: f64) -> Vec<f64> {
    let least =
        losses.iter().copied().filter(|loss| loss.is_finite()).fold(f64::INFINITY, f64::min);
    if least.is_infinite() {
        return Vec::new();
    }
    let mut weights: Vec<_> = losses
        .iter()
        .map(|loss| if loss.is_finite() { libm::exp(-rate * (loss - least)) } else { 0.0 })
        .collect();
    let total: f64 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= total;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expert_whose_loss_is_no_number_has_no_say() {
        assert_eq!(weights(&[f64::NAN, 1e9, f64::INFINITY], 1.0), [0.0, 1.0, 0.0]);
        assert!(weights(&[f64::NAN], 1.0).is_empty());
    }

    #[test]
    fn the_mixture_keeps_its_regret_bound_against_an_adversary() {
        // Two experts that are right in turns, for longer and longer: the worst case for a leader.
        let rounds = 2_000_u64;
        let eta = rate(2, rounds);
        let (mut losses, mut mixture) = ([0.0, 0.0], 0.0);
        for round in 0..rounds {
            let wrong = usize::from(round.checked_ilog2().unwrap_or(0) % 2 == 0);
            mixture += weights(&losses, eta)[wrong];
            losses[wrong] += 1.0;
        }
        let best = f64::min(losses[0], losses[1]);
        let bound = (2_000.0 * std::f64::consts::LN_2 / 2.0).sqrt();
        assert!(mixture - best <= bound, "{} over {bound}", mixture - best);
    }
}
