use super::world::Tuning;
use super::*;
use crate::arena::{Hyperparameters, Report, Settings, rehearse};
use crate::package::Package;

fn rule() -> Tune {
    Tune::new(Package::find("tune").unwrap().manifest).unwrap()
}

fn hotkey(n: u8) -> Hotkey {
    Hotkey::from_bytes([n; 32])
}

/// A seeded game among models with given mean losses; the first commits first.
struct Game {
    rule: Tune,
    throne: Throne,
    prf: Prf,
}

impl Game {
    fn new(seed: u64) -> Self {
        Self { rule: rule(), throne: Throne::default(), prf: Prf::from_seed(seed) }
    }

    /// A round: each model's batch losses are the batch's difficulty times its own, with an error of its
    /// own of 2 %.
    fn round(&mut self, models: &[(u8, u8, f64)]) {
        let difficulty: Vec<_> = (0..8).map(|_| 1.0 + 0.1 * self.prf.normal()).collect();
        let mut measured = Vec::new();
        for (block, (who, model, loss)) in (1..).zip(models) {
            let losses = difficulty
                .iter()
                .map(|hard| hard * loss * (1.0 + 0.02 * self.prf.normal()) * 1e6)
                .map(|loss| format!("{loss:.0}").parse().unwrap())
                .collect();
            let commitment = commitment(&Digest::plain(&[*model]), &hotkey(*who));
            let run = Run { commitment, committed_at: block, losses };
            measured.push(Measured { hotkey: hotkey(*who), measurement: vec![run] });
        }
        self.measured(&measured);
    }

    fn measured(&mut self, measured: &[Measured<Measurement>]) {
        let subject = Subject::Shared(Vec::new());
        let draw = self.rule.draw(&mut self.prf, &subject, &self.throne);
        self.throne = self.rule.learn(std::mem::take(&mut self.throne), &draw, measured);
    }

    fn reigns(&self) -> Option<Hotkey> {
        self.throne.reign.as_ref().map(|reign| reign.hotkey)
    }

    fn rounds(&mut self, count: usize, models: &[(u8, u8, f64)]) -> Option<Hotkey> {
        (0..count).for_each(|_| self.round(models));
        self.reigns()
    }
}

#[test]
fn no_crown_falls_in_twenty_seasons_among_equals() {
    let models: Vec<_> = (1..=7).map(|who| (who, who, 2.0)).collect();
    for seed in 0..20 {
        let mut game = Game::new(seed);
        game.rounds(200, &models);
        assert_eq!(game.throne.coronations, 1, "seed {seed}");
    }
}

#[test]
fn a_gain_of_four_percent_is_crowned() {
    for seed in 0..4 {
        let mut game = Game::new(seed);
        assert_eq!(game.rounds(6, &[(1, 1, 2.0)]), Some(hotkey(1)));
        assert_eq!(game.rounds(60, &[(1, 1, 2.0), (2, 2, 1.92)]), Some(hotkey(2)));
    }
}

#[test]
fn a_latecomer_is_not_taxed_for_ever() {
    let mut game = Game::new(1);
    let models = [(1, 1, 2.0), (2, 2, 1.96)];
    assert_eq!(game.rounds(25, &models[..1]), Some(hotkey(1)));
    assert_eq!(game.rounds(5, &models), Some(hotkey(1)), "2 % is less than epsilon yet");
    assert_eq!(game.rounds(120, &models), Some(hotkey(2)), "epsilon has decayed");
}

#[test]
fn the_crown_is_on_the_commitment_and_not_on_the_key() {
    let mut game = Game::new(1);
    assert_eq!(game.rounds(6, &[(1, 1, 2.0)]), Some(hotkey(1)));
    // The same key with a model nobody has seen to be good: not paid, and the throne falls empty.
    let swapped = Run {
        commitment: commitment(&Digest::plain(&[9]), &hotkey(1)),
        committed_at: 9,
        losses: vec![3_900_000; 8],
    };
    let measured = [Measured { hotkey: hotkey(1), measurement: vec![swapped] }];
    let draw = game.rule.draw(&mut Prf::from_seed(1), &Subject::Shared(Vec::new()), &game.throne);
    let findings = game.rule.judge(&draw, &measured, &game.throne).unwrap();
    assert_eq!(findings[0].evidence, Evidence::Score(Grade::ZERO));
    (0..3).for_each(|_| game.measured(&measured));
    assert_eq!(game.reigns(), None);
}

#[test]
fn refusing_to_be_examined_does_not_keep_the_crown() {
    let mut game = Game::new(1);
    assert_eq!(game.rounds(6, &[(1, 1, 2.0)]), Some(hotkey(1)));
    let refused = [Measured { hotkey: hotkey(1), measurement: Vec::new() }];
    (0..3).for_each(|_| game.measured(&refused));
    assert_eq!(game.reigns(), None);
}

#[test]
fn a_copied_commitment_is_nobody_elses() {
    assert_ne!(
        commitment(&Digest::plain(b"model"), &hotkey(1)),
        commitment(&Digest::plain(b"model"), &hotkey(2))
    );
    assert_ne!(
        commitment(&Digest::plain(b"model"), &hotkey(1)),
        commitment(&Digest::plain(b"other"), &hotkey(1))
    );
}

#[test]
fn a_known_copy_has_no_case_after_its_original_left() {
    let mut game = Game::new(1);
    game.rounds(6, &[(1, 1, 2.0)]);
    let run = |who: u8, at: u64, losses: Vec<u32>| Measured {
        hotkey: hotkey(who),
        measurement: vec![Run {
            commitment: commitment(&Digest::plain(&[who]), &hotkey(who)),
            committed_at: at,
            losses,
        }],
    };
    let king = || run(1, 1, vec![2_000_000; 8]);
    game.measured(&[king(), run(2, 2, vec![1_500_000; 8]), run(3, 3, vec![1_500_100; 8])]);
    assert_eq!(game.throne.copies(), [commitment(&Digest::plain(&[3]), &hotkey(3))]);
    (0..50).for_each(|_| game.measured(&[king(), run(3, 3, Vec::new())]));
    assert_eq!(game.reigns(), Some(hotkey(1)));
    assert_eq!(game.throne.copies(), [commitment(&Digest::plain(&[3]), &hotkey(3))], "still known");
}

fn season(cast: &str, epochs: u64, seed: u64) -> Report {
    let rule = Arc::new(rule());
    let settings = Settings {
        epochs,
        cast: cast.parse().unwrap(),
        validators: 2,
        seed,
        chain: Hyperparameters::default(),
        panel: None,
    };
    rehearse(&rule, Tuning::new, &settings).unwrap()
}

#[test]
fn clones_earn_le_5pct() {
    let report = season("honest:4,copier:12", 50, 2);
    assert!(report.holds(), "{report:#?}");
    assert!(report.actors[0].share >= 0.95 && report.actors[1].share <= 0.05, "{report:#?}");
}

#[test]
fn the_whole_cast_breaks_no_bound() {
    let cast = "honest:4,lazy:1,copier:2,sybil:2x3,forger:1,substitute:1,poison:1,colluder:1";
    let settings = Settings {
        epochs: 30,
        cast: cast.parse().unwrap(),
        validators: 3,
        seed: 3,
        chain: Hyperparameters::default(),
        panel: None,
    };
    let rule = Arc::new(rule());
    let report = rehearse(&rule, Tuning::new, &settings).unwrap();
    assert!(report.holds(), "{report:#?}");
}
