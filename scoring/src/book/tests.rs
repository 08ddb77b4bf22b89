use super::*;
use crate::estimators::{Beta, Ema, Sprt};
use crate::evidence::Grade;

const HONEST: Sprt = Sprt { honest: 0.999, cheat: 0.95, alpha: 1e-8, beta: 1e-2, fresh_epochs: 10 };

fn tracks() -> Tracks {
    let quality = Estimator::Beta(Beta {
        prior_passed: 1.0,
        prior_failed: 1.0,
        confidence: 0.95,
        memory: 1.0,
    });
    let track = |estimator, role| Track { estimator, role, min_samples: 0 };
    Tracks::new(BTreeMap::from([
        ("identity".into(), track(Estimator::Sprt(HONEST), Role::Gate)),
        ("quality".into(), track(quality, Role::Factor)),
        ("service".into(), track(Estimator::Ema(Ema { alpha: 0.5 }), Role::Factor)),
    ]))
    .unwrap()
}

fn hotkey(n: u8) -> Hotkey {
    Hotkey::from_bytes([n; 32])
}

fn findings(matched: bool) -> Vec<(String, Evidence)> {
    vec![
        ("identity".into(), Evidence::Matches(vec![matched; 200])),
        ("quality".into(), Evidence::Trials { passed: 98, failed: 0 }),
        ("service".into(), Evidence::Score(Grade::ONE)),
    ]
}

#[test]
fn worth_is_the_product_of_lower_bounds_behind_a_passed_gate() {
    let mut book = Book::default();
    book.record(&tracks(), hotkey(1), 3, &findings(true)).unwrap();
    let Worth::Worth(worth) = book.assess(&tracks(), &hotkey(1), 3).worth else { panic!() };
    // scipy.stats.beta.ppf(0.05, 99, 1) = 0.05 ** (1 / 99)
    assert!((worth - 0.970_193).abs() < 2e-6, "{worth}");
}

#[test]
fn a_convict_is_worth_nothing_and_stays_one() {
    let mut book = Book::default();
    book.record(&tracks(), hotkey(1), 3, &findings(false)).unwrap();
    book.record(&tracks(), hotkey(1), 4, &findings(true)).unwrap();
    let assessment = book.assess(&tracks(), &hotkey(1), 4);
    assert_eq!(assessment.worth, Worth::Gated { track: "identity".into(), verdict: Verdict::Fail });
    assert_eq!(assessment.score().to_bits(), 0);
}

#[test]
fn a_newcomer_does_not_inherit_the_slot() {
    let mut book = Book::default();
    book.record(&tracks(), hotkey(1), 3, &findings(true)).unwrap();
    let newcomer = book.assess(&tracks(), &hotkey(2), 3);
    assert_eq!(
        newcomer.worth,
        Worth::Gated { track: "identity".into(), verdict: Verdict::NoEvidence }
    );
}

#[test]
fn a_pass_goes_stale_without_new_evidence() {
    let mut book = Book::default();
    book.record(&tracks(), hotkey(1), 3, &findings(true)).unwrap();
    let verdict = |epoch| book.assess(&tracks(), &hotkey(1), epoch).gates["identity"];
    assert_eq!((verdict(13), verdict(14)), (Verdict::Pass, Verdict::NoEvidence));
}

#[test]
fn a_missing_factor_is_unknown_rather_than_one() {
    let mut book = Book::default();
    book.record(&tracks(), hotkey(1), 3, &findings(true)[..2]).unwrap();
    let worth = book.assess(&tracks(), &hotkey(1), 3).worth;
    assert_eq!(worth, Worth::Unknown { track: "service".into() });
}

#[test]
fn evidence_of_the_wrong_kind_changes_nothing() {
    let mut book = Book::default();
    let wrong = [findings(true).remove(0), ("quality".to_owned(), Evidence::Score(Grade::ONE))];
    let refused = book.record(&tracks(), hotkey(1), 3, &wrong);
    assert!(matches!(refused, Err(BookError::Kind { .. })));
    assert_eq!(book, Book::default());
}

#[test]
fn a_stored_book_reads_back_equal() {
    let mut book = Book::default();
    book.record(&tracks(), hotkey(1), 3, &findings(true)).unwrap();
    let stored = serde_json::to_string(&book).unwrap();
    assert_eq!(serde_json::from_str::<Book>(&stored).unwrap(), book);
}

#[test]
fn an_average_cannot_be_a_gate() {
    let gate =
        Track { estimator: Estimator::Ema(Ema { alpha: 0.5 }), role: Role::Gate, min_samples: 0 };
    let tracks = Tracks::new(BTreeMap::from([("service".into(), gate)]));
    assert!(matches!(tracks, Err(TracksError::NoVerdict { .. })));
}
