//! Whom to ask in a round: a pure choice.
//!
//! A rule declares how many miners a validator examines in a round (`[examine]` in `rule.toml`): that is
//! what it costs. Half of the panel goes to those of whom least is known, newcomers before all; the other half to
//! those not asked for longest, so that nobody who is known well is left out for good.

use chain_metadata::Hotkey;
use scoring::book::Assessment;
use scoring::estimators::Verdict;

use crate::digest::Digest;

/// A miner that could be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Who.
    pub hotkey: Hotkey,
    /// Width of what is not known of its worth, 0 to 1; 1 for a newcomer.
    pub unsure: f64,
    /// Epoch of the latest evidence about it.
    pub asked: Option<u64>,
}

/// At most `size` of the candidates, each once. Ties are broken by `seed`, the hash of the head, so
/// that no place in the metagraph is better than another.
pub fn choose(candidates: &[Candidate], size: usize, seed: [u8; 32]) -> Vec<Hotkey> {
    let lot =
        |candidate: &Candidate| Digest::of("ganglion/panel", &[&seed, candidate.hotkey.as_bytes()]);
    let mut left: Vec<&Candidate> = candidates.iter().collect();
    left.sort_by(|a, b| {
        let newcomers_first = a.asked.is_some().cmp(&b.asked.is_some());
        newcomers_first.then(b.unsure.total_cmp(&a.unsure)).then(lot(a).cmp(&lot(b)))
    });
    let mut rest = left.split_off(size.div_ceil(2).min(left.len()));
    rest.sort_by(|a, b| a.asked.cmp(&b.asked).then(lot(a).cmp(&lot(b))));
    left.into_iter().chain(rest).take(size).map(|candidate| candidate.hotkey).collect()
}

/// How little is known: 1 where a gate has said nothing or a factor is missing, else the widest interval
/// of a factor.
pub fn unsure(assessment: &Assessment) -> f64 {
    let open = assessment.gates.values().any(|verdict| *verdict == Verdict::NoEvidence);
    if open || assessment.factors.is_empty() {
        return 1.0;
    }
    assessment.factors.values().map(|factor| factor.high - factor.low).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(n: u8, unsure: f64, asked: Option<u64>) -> Candidate {
        Candidate { hotkey: Hotkey::from_bytes([n; 32]), unsure, asked }
    }

    fn numbers(panel: Vec<Hotkey>) -> Vec<u8> {
        panel.into_iter().map(|hotkey| hotkey.as_bytes()[0]).collect()
    }

    #[test]
    fn newcomers_come_first_then_the_unsure_then_those_not_asked_for_longest() {
        let all = [
            candidate(1, 0.9, Some(9)),
            candidate(2, 1.0, None),
            candidate(3, 0.1, Some(2)),
            candidate(4, 0.1, Some(8)),
            candidate(5, 0.2, Some(9)),
        ];
        assert_eq!(numbers(choose(&all, 4, [0; 32])), [2, 1, 3, 4]);
    }

    #[test]
    fn a_panel_never_holds_more_than_its_size_nor_anybody_twice() {
        let all: Vec<_> = (0..9).map(|n| candidate(n, 0.5, Some(1))).collect();
        for size in 0..12 {
            let mut panel = numbers(choose(&all, size, [1; 32]));
            assert_eq!(panel.len(), size.min(9));
            panel.sort_unstable();
            panel.dedup();
            assert_eq!(panel.len(), size.min(9));
        }
    }

    #[test]
    fn the_order_of_the_metagraph_does_not_matter() {
        let mut all: Vec<_> = (0..9).map(|n| candidate(n, 0.5, Some(1))).collect();
        let panel = choose(&all, 4, [7; 32]);
        all.reverse();
        assert_eq!(choose(&all, 4, [7; 32]), panel);
    }
}
