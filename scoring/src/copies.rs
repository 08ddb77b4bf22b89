//! Who is a copy of whom: distances, shared errors, clusters.
//!
//! Agreement where everybody is right is no evidence of copying: two good answers are alike. What
//! tells is agreement in error, or a distance far below what independent errors leave.

use statrs::distribution::{Binomial, DiscreteCDF};

use crate::estimators::GRID;

/// Root mean square of the differences; `None` where lengths differ, nothing is compared or a
/// difference is no number.
pub fn rms_distance(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || a.len() != b.len() {
        return None;
    }
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    #[expect(clippy::cast_precision_loss, reason = "lengths far below 2^53")]
    let mean = squares / a.len() as f64;
    mean.is_finite().then(|| libm::sqrt(mean))
}

/// Probability that two independent answerers, both wrong on `wrong` questions, agree on `shared` or
/// more of their wrong answers, each with probability `chance`: the upper tail of a binomial
/// (W. Angoff, *The development of statistical indices for detecting cheaters*, JASA 1974). Small
/// means copied. `None` where `chance` is no probability or more is shared than was wrong.
pub fn shared_errors(wrong: u64, shared: u64, chance: f64) -> Option<f64> {
    if shared > wrong {
        return None;
    }
    if shared == 0 {
        return (0.0..=1.0).contains(&chance).then_some(1.0);
    }
    let tail = Binomial::new(chance, wrong).ok()?.sf(shared - 1);
    Some(libm::rint(tail * GRID) / GRID)
}

/// For each of `count` subjects, the first of its cluster: subjects are given in the order in which
/// they committed, and each joins the earliest leader it is `alike`. Only leaders gather followers,
/// so that a chain of small steps does not join strangers.
pub fn leaders(count: usize, alike: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut leader_of: Vec<usize> = Vec::with_capacity(count);
    for subject in 0..count {
        let found =
            (0..subject).find(|other| leader_of[*other] == *other && alike(*other, subject));
        leader_of.push(found.unwrap_or(subject));
    }
    leader_of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_follow_the_earliest_and_chains_do_not_join() {
        let at = [0.0, 0.9, 1.8, 5.0, 0.1];
        let alike = |a: usize, b: usize| f64::abs(at[a] - at[b]) < 1.0;
        assert_eq!(leaders(5, alike), [0, 0, 2, 3, 0]);
    }

    #[test]
    fn what_cannot_be_compared_has_no_distance() {
        assert_eq!(rms_distance(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(rms_distance(&[], &[]), None);
        assert_eq!(rms_distance(&[f64::NAN], &[0.0]), None);
    }

    #[test]
    fn more_shared_than_wrong_is_refused() {
        assert_eq!(shared_errors(3, 4, 0.2), None);
        assert_eq!(shared_errors(3, 1, f64::NAN), None);
        assert_eq!(shared_errors(3, 0, 0.2), Some(1.0));
    }
}
