//! Bradley–Terry: strengths from who beat whom, whatever the order of the games.

/// Most passes; the phantom games make each pass a contraction, so some tens are usual.
const PASSES_MAX: usize = 10_000;
/// Relative change of every strength below which the passes end.
const CONVERGED: f64 = 1e-12;

/// Strengths θ of n players from `wins[i][j]`, the games that i won against j:
/// P(i beats j) = θᵢ / (θᵢ + θⱼ).
///
/// The maximum of the likelihood with one phantom win and one phantom loss of everybody against a
/// player of strength 1, so that the unbeaten stay finite and strengths have a scale. By the
/// minorise–maximise steps θᵢ ← wᵢ / Σⱼ nᵢⱼ/(θᵢ + θⱼ): D. Hunter, *MM algorithms for generalized
/// Bradley–Terry models*, Annals of Statistics 2004. `None` where `wins` is not square or holds a
/// number that is negative or none.
pub fn bradley_terry(wins: &[Vec<f64>]) -> Option<Vec<f64>> {
    let count = wins.len();
    let sound = |row: &Vec<f64>| {
        row.len() == count && row.iter().all(|games| games.is_finite() && *games >= 0.0)
    };
    if !wins.iter().all(sound) {
        return None;
    }
    let mut strengths = vec![1.0; count];
    for _ in 0..PASSES_MAX {
        let mut moved = 0.0_f64;
        for player in 0..count {
            let better = improved(wins, &strengths, player);
            moved = moved.max((better / strengths[player] - 1.0).abs());
            strengths[player] = better;
        }
        if moved < CONVERGED {
            break;
        }
    }
    Some(strengths)
}

/// One step for one player, the phantom's two games included.
fn improved(wins: &[Vec<f64>], strengths: &[f64], player: usize) -> f64 {
    let (mut won, mut expected) = (1.0, 2.0 / (strengths[player] + 1.0));
    for other in (0..wins.len()).filter(|other| *other != player) {
        let games = wins[player][other] + wins[other][player];
        won += wins[player][other];
        expected += games / (strengths[player] + strengths[other]);
    }
    won / expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_never_played_has_strength_one() {
        let strengths = bradley_terry(&[vec![0.0, 0.0], vec![0.0, 0.0]]).unwrap();
        assert!(strengths.iter().all(|strength| (strength - 1.0).abs() < 1e-9));
    }

    #[test]
    fn games_that_are_no_numbers_rank_nobody() {
        assert_eq!(bradley_terry(&[vec![0.0, f64::NAN], vec![0.0, 0.0]]), None);
        assert_eq!(bradley_terry(&[vec![0.0, 1.0]]), None);
    }
}
