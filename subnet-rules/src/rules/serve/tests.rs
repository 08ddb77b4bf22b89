use scoring::book::{Book, Worth};
use scoring::estimators::Verdict;
use scoring::evidence::Claimed;

use super::*;
use crate::exchange::Fault;
use crate::tools::{GroupMeasure, TokenMeasure};

const MODEL: &str = "named-model:f32";

fn rule() -> Serve {
    let calibration = Calibration::measure(10, 1, |task| task.level.get() % 2 == 0);
    let mut calibration = calibration;
    calibration.passed.insert(Family::Copy, [10, 8, 6, 5, 3, 0]);
    Serve::shipped(MODEL, &calibration).unwrap()
}

fn miner() -> Hotkey {
    Hotkey::from_bytes([1; 32])
}

fn answer(text: &str, tokens: usize) -> Answer {
    Answer {
        model: Claimed::new(MODEL.to_owned()),
        token_ids: vec![7; tokens],
        stopped: true,
        text: text.to_owned(),
        checks: Vec::new(),
        account: Some(Vec::new()),
        reference: None,
        first_byte_us: 1_000,
        total_us: 2_000,
    }
}

fn open_draw(rule: &Serve) -> ServeDraw {
    Draw { public: rule.task("Q: what did ann?\nA:", 1), secret: Secret::Open }
}

fn checked_draw(rule: &Serve) -> ServeDraw {
    let level = Level::try_from(1).unwrap();
    let secret = Secret::Checked { family: Family::Extract, level, answer: "red cup".into() };
    Draw { public: rule.task("ann: red cup\nQ: what has ann?\nA:", 1), secret }
}

fn judged(rule: &Serve, draw: &ServeDraw, answer: Answer) -> Vec<(String, Evidence)> {
    let measured = Measured { hotkey: miner(), measurement: Measurement::Answered(answer) };
    let findings = rule.judge(draw, &[measured], &()).unwrap();
    findings.into_iter().map(|finding| (finding.track, finding.evidence)).collect()
}

fn trials(passed: u32, failed: u32) -> Evidence {
    Evidence::Trials { passed, failed }
}

#[test]
fn equal_beacons_draw_equal_tasks_of_both_kinds() {
    let rule = rule();
    let subject = Subject::Miner(miner());
    let draws = |seed| {
        let mut prf = Prf::from_seed(seed);
        (0..40).map(|_| rule.draw(&mut prf, &subject, &())).collect::<Vec<_>>()
    };
    assert_eq!(draws(1), draws(1));
    let open = draws(1).iter().filter(|draw| draw.secret == Secret::Open).count();
    assert!((8..=32).contains(&open), "{open} of 40 open");
}

#[test]
fn only_tokens_with_a_choice_are_evidence_of_identity() {
    let rule = rule();
    let checks = vec![
        TokenMeasure { entropy_mnat: 499, margin_milli: 0, matched: true },
        TokenMeasure { entropy_mnat: 500, margin_milli: 0, matched: true },
        TokenMeasure { entropy_mnat: 900, margin_milli: 40, matched: false },
    ];
    let answer = Answer { checks, ..answer("ann fed the cat", 3) };
    let findings = judged(&rule, &open_draw(&rule), answer);
    assert_eq!(findings[0], ("identity".into(), Evidence::Matches(vec![true, false])));
}

#[test]
fn a_checkable_answer_is_no_evidence_of_identity() {
    let rule = rule();
    let answer = Answer { reference: Some(" red cup\n".into()), ..answer(" red cup", 9) };
    let findings = judged(&rule, &checked_draw(&rule), answer);
    let tracks: Vec<_> = findings.iter().map(|(track, _)| track.as_str()).collect();
    assert_eq!(tracks, ["quality", "service"]);
}

#[test]
fn quality_counts_only_where_the_reference_is_right() {
    let rule = rule();
    let draw = checked_draw(&rule);
    let of = |text: &str, reference: &str| {
        let answer = Answer { reference: Some(reference.into()), ..answer(text, 9) };
        judged(&rule, &draw, answer).into_iter().find(|(track, _)| track == "quality")
    };
    assert_eq!(of("red cup", "red cup").map(|(_, trial)| trial), Some(trials(1, 0)));
    assert_eq!(of("a cup", "red cup").map(|(_, trial)| trial), Some(trials(0, 1)));
    assert_eq!(of("red cup", "a cup"), None);
}

#[test]
fn cap_is_truncation() {
    let rule = rule();
    let cap = rule.params().max_tokens as usize;
    let cut =
        Answer { stopped: false, reference: Some("red cup".into()), ..answer("red cup", cap) };
    assert_eq!(judged(&rule, &checked_draw(&rule), cut)[0].1, trials(0, 1));
}

#[test]
fn conservative_valuation() {
    let rule = rule();
    let reference = Some("red cup".into());
    let cut_short = Answer { stopped: false, reference: reference.clone(), ..answer("red cup", 9) };
    let past_the_cap = Answer { reference: reference.clone(), ..answer("red cup", 49) };
    let empty = Answer { reference: reference.clone(), ..answer("", 0) };
    let other = Claimed::new("other-model:f32".to_owned());
    let other_model = Answer { model: other, reference, ..answer("red cup", 9) };
    for bad in [cut_short, past_the_cap, empty, other_model] {
        let findings = judged(&rule, &checked_draw(&rule), bad.clone());
        assert_eq!(
            findings,
            [
                ("quality".to_owned(), trials(0, 1)),
                ("service".to_owned(), Evidence::Score(Grade::ZERO))
            ],
            "{bad:?}"
        );
    }
}

#[test]
fn a_slow_answer_is_worth_the_share_of_the_time_allowed() {
    let rule = rule();
    let slow = Answer { total_us: 5_800_000, ..answer("ann", 9) };
    // Allowed: 2000 ms + 9 * 100 ms.
    assert_eq!(rule.params().service(&slow).get().to_bits(), 0.5_f64.to_bits());
}

#[test]
fn a_measurement_that_lacks_its_checks_is_the_validators_fault() {
    let rule = rule();
    let measurement = Measurement::Answered(answer("ann", 3));
    let measured = Measured { hotkey: miner(), measurement };
    let judged = rule.judge(&open_draw(&rule), &[measured], &());
    assert!(matches!(judged, Err(JudgeError::Inconsistent { .. })));
}

#[test]
fn seed_match_gate() {
    let rule = rule();
    let verdict_after = |tokens: usize, matched: bool| {
        let check = TokenMeasure { entropy_mnat: 900, margin_milli: 0, matched };
        let answer = Answer { checks: vec![check; tokens], ..answer("ann", tokens) };
        let findings = judged(&rule, &open_draw(&rule), answer);
        let mut book = Book::default();
        book.record(&rule.manifest().tracks, miner(), 1, &findings).unwrap();
        book.assess(&rule.manifest().tracks, &miner(), 1).gates["identity"]
    };
    // A forger's text matches nowhere: convicted within one answer.
    assert_eq!(verdict_after(6, false), Verdict::Fail);
    assert_eq!(verdict_after(48, true), Verdict::NoEvidence);
}

#[test]
fn unverified_is_not_passed() {
    let rule = rule();
    let mut book = Book::default();
    let answer = Answer { reference: Some("red cup".into()), ..answer("red cup", 9) };
    let findings = judged(&rule, &checked_draw(&rule), answer);
    book.record(&rule.manifest().tracks, miner(), 1, &findings).unwrap();
    let worth = book.assess(&rule.manifest().tracks, &miner(), 1).worth;
    let gated = Worth::Gated { track: "identity".into(), verdict: Verdict::NoEvidence };
    assert_eq!(worth, gated);
}

#[test]
fn law_l2_single_canonical_bytes() {
    // What is judged right is the text of the ids that were proven; there is no other field to send
    // a second text in, and a text that does not end in its ids' cap is refused above.
    let rule = rule();
    let draw = checked_draw(&rule);
    let proven = Answer { reference: Some("red cup".into()), ..answer("a cup", 9) };
    assert_eq!(judged(&rule, &draw, proven.clone())[0].1, trials(0, 1));
    let text = serde_json::to_value(Measurement::Answered(proven)).unwrap();
    let mut fields: Vec<_> = text["answered"].as_object().unwrap().keys().cloned().collect();
    fields.sort_unstable();
    let known = [
        // How far what the miner says of its tokens lies from the validator's own pass.
        "account",
        "checks",
        "first_byte_us",
        "model",
        "reference",
        "stopped",
        "text",
        "token_ids",
        "total_us",
    ];
    assert_eq!(fields, known, "a new field must be the validator's own reading");
}

#[test]
fn refusal_decays() {
    let rule = rule();
    let tracks = &rule.manifest().tracks;
    let mut book = Book::default();
    let good = Answer { reference: Some("red cup".into()), ..answer("red cup", 9) };
    let checked = checked_draw(&rule);
    for epoch in 1..=20 {
        book.record(tracks, miner(), epoch, &judged(&rule, &checked, good.clone())).unwrap();
    }
    let before = book.assess(tracks, &miner(), 20).factors;
    for epoch in 21..=40 {
        let refused =
            Measured { hotkey: miner(), measurement: Measurement::Unanswered(Fault::Refused) };
        let findings = rule.judge(&checked, &[refused], &()).unwrap();
        let findings: Vec<_> = findings.into_iter().map(|one| (one.track, one.evidence)).collect();
        book.record(tracks, miner(), epoch, &findings).unwrap();
    }
    let after = book.assess(tracks, &miner(), 40).factors;
    for track in ["quality", "service"] {
        assert!(after[track].value < before[track].value / 1.5, "{track}: {before:?} {after:?}");
    }
}

#[test]
fn short_answers_win_no_race() {
    let rule = rule();
    let service =
        |tokens, total_us| rule.params().service(&Answer { total_us, ..answer("ann", tokens) });
    // Allowed: 2000 ms + 100 ms a token, and faster than allowed is worth no more.
    assert_eq!(service(1, 10), service(40, 5_000_000));
    assert!(service(1, 5_000_000) < service(40, 5_000_000));
}

#[test]
fn self_reported_numbers_never_score() {
    // `Claimed` cannot be read without a check: the named model is compared, and no other claim is.
    let rule = rule();
    let claims = Claimed::new("named-model:f32 at 9000 tokens a second".to_owned());
    let boasting = Answer { model: claims, ..answer("ann", 3) };
    let findings = judged(&rule, &open_draw(&rule), boasting);
    assert_eq!(findings, [("service".to_owned(), Evidence::Score(Grade::ZERO))]);
}

#[test]
fn naming_another_model_changes_the_digest() {
    let calibration = rule().params().calibration.clone();
    let other = Serve::shipped("other:f32", &calibration).unwrap();
    assert_ne!(rule().manifest().digest(), other.manifest().digest());
}

#[test]
fn a_draw_survives_serialisation() {
    let rule = rule();
    let draw = rule.draw(&mut Prf::from_seed(3), &Subject::Miner(miner()), &());
    let text = serde_json::to_string(&draw).unwrap();
    assert_eq!(serde_json::from_str::<ServeDraw>(&text).unwrap(), draw);
}

#[test]
fn an_account_that_lies_apart_is_a_miss_and_one_that_agrees_is_nothing() {
    let rule = rule();
    let draw = open_draw(&rule);
    let with = |account| {
        let checks = vec![TokenMeasure::new(1.0, 0.0, true); 3];
        judged(&rule, &draw, Answer { checks, account, ..answer("", 3) })
    };
    let agreeing = with(Some(vec![GroupMeasure::new(0.0, 0.0)]));
    let apart = with(Some(vec![GroupMeasure::new(0.0, 0.0), GroupMeasure::new(0.0, 0.001)]));
    let matches = |found: &[(String, Evidence)]| {
        found.iter().find_map(|(track, evidence)| match evidence {
            Evidence::Matches(all) if track == track::IDENTITY => Some(all.clone()),
            _ => None,
        })
    };
    assert_eq!(matches(&agreeing), Some(vec![true; 3]));
    assert_eq!(matches(&apart), Some(vec![true, true, true, false]));
    assert_eq!(
        matches(&with(None)),
        None,
        "without the account that was asked for it is no answer"
    );
}
