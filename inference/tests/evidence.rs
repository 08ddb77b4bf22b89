//! Answers with their evidence, honest and not, before a verifier.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::path::Path;

use inference::{
    Deviation, Engine, EngineOptions, LoadOptions, Model, ModelSource, NumericClass,
    evidence::{
        self, Answer, AnswerError, Binding, Bytes32, Calibration, Drawn, Fingerprint, Pair, Report,
        Sample, Sampler, Scheme, Side, Verdict, calibrate, read, side,
        table::{self, Case, Plan, Progress, Step, Table, TableError},
    },
};

const TEMPERATURE: f32 = 1.0;

fn engine(dir: &Path, class: NumericClass, deviation: Option<Deviation>) -> Engine {
    let options = LoadOptions::default().with_class(class).with_threads(1);
    let source = ModelSource::Path(dir.to_owned());
    let model = Model::load(&source, options.with_deviation(deviation)).unwrap();
    Engine::start(model, EngineOptions::default())
}

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    dir
}

async fn answer(engine: &Engine, seed: u64) -> Answer {
    shown(engine, seed, Scheme::default()).await
}

/// An answer with fingerprints of `scheme`.
async fn shown(engine: &Engine, seed: u64, scheme: Scheme) -> Answer {
    let sampler = Sampler::Seeded { temperature: TEMPERATURE, seed, binding: None };
    evidence::answer(engine, "tell me about heat pumps", 64, sampler, scheme).await.unwrap()
}

/// The report on `answer` of a verifier that demands equality to the bit.
async fn report(verifier: &Engine, answer: &Answer) -> Report {
    let pair = Pair::equality(&side(verifier), &side(verifier)).unwrap();
    Report::new(&read(verifier, answer).await.unwrap(), &pair, true)
}

/// `answer` in the name of another model.
fn renamed(mut answer: Answer, engine: &Engine) -> Answer {
    answer.model = engine.model_id();
    answer.root = answer.compute_root();
    answer
}

#[tokio::test]
async fn an_honest_answer_passes_and_a_deviation_in_its_name_fails() {
    let dir = dir();
    let verifier = engine(dir.path(), NumericClass::F32, None);
    for scheme in Scheme::ALL {
        let honest = report(&verifier, &shown(&verifier, 1, scheme).await).await;
        assert_eq!((honest.verdict, honest.seed_match), (Verdict::Pass, Some(1.0)));
        assert_eq!(honest.fingerprint_max, Some(0.0), "{scheme}");
    }
    for deviation in [Deviation::Q8Weights, Deviation::Fp8Weights, Deviation::Int8Kv] {
        let cheat = engine(dir.path(), NumericClass::F32, Some(deviation));
        let answer = renamed(answer(&cheat, 1).await, &verifier);
        let report = report(&verifier, &answer).await;
        assert_eq!(report.verdict, Verdict::Fail, "{deviation:?} {report:?}");
    }
}

#[tokio::test]
async fn fingerprints_of_another_pass_convict_under_tokens_that_are_right() {
    let dir = dir();
    let verifier = engine(dir.path(), NumericClass::F32, None);
    let cheat = engine(dir.path(), NumericClass::F32, Some(Deviation::Q4Weights));
    for scheme in Scheme::ALL {
        // Tokens as the seed draws them, fingerprints of the cheat's own pass over them.
        let mut answer = shown(&verifier, 2, scheme).await;
        let prompt = inference::Prompt::Tokens(answer.prompt_ids.clone());
        let sampling = answer.sampler.sampling().unwrap();
        let pass = cheat.audit(&prompt, &answer.completion_ids, &sampling, scheme).await.unwrap();
        answer.fingerprint = pass.states.fingerprint();
        answer.root = answer.compute_root();
        let report = report(&verifier, &answer).await;
        assert_eq!((report.seed_match, report.verdict), (Some(1.0), Verdict::Fail), "{scheme}");
    }
}

#[tokio::test]
async fn a_forger_passes_every_check_of_states_and_fails_by_the_seed() {
    let dir = dir();
    let verifier = engine(dir.path(), NumericClass::F32, None);
    let cheap = engine(dir.path(), NumericClass::F32, Some(Deviation::OtherWeights));
    let written = answer(&cheap, 3).await;
    let prompt = inference::Prompt::Tokens(written.prompt_ids.clone());
    let sampling = written.sampler.sampling().unwrap();
    let scheme = written.fingerprint.scheme();
    let pass = verifier.audit(&prompt, &written.completion_ids, &sampling, scheme).await.unwrap();
    let honest = inference::Job {
        fingerprint: Some(scheme),
        ..inference::Job::new(written.prompt_ids.clone(), 1, sampling)
    };
    let completion = inference::Completion {
        token_ids: written.completion_ids,
        logprobs: pass.checks.iter().map(|check| check.logprob).collect(),
        states: Some(pass.states),
        ..verifier.generate(honest).await.unwrap()
    };
    let forged = Answer::record(side(&verifier), written.sampler, written.prompt_ids, &completion);
    let report = report(&verifier, &forged.unwrap()).await;
    assert_eq!((report.dlogprob_mean, report.fingerprint_max), (Some(0.0), Some(0.0)));
    assert_eq!(report.verdict, Verdict::Fail);
}

#[tokio::test]
async fn across_classes_honest_answers_pass_by_calibration_and_four_bits_do_not() {
    let dir = dir();
    let verifier = engine(dir.path(), NumericClass::F32, None);
    let server = engine(dir.path(), NumericClass::Bf16, None);
    let cheat = engine(dir.path(), NumericClass::Bf16, Some(Deviation::Q4Weights));
    for scheme in Scheme::ALL {
        let drawn = Drawn { seed: 9, temperature: TEMPERATURE, scheme };
        let sample = Sample { sequences: 24, max_tokens: 64, drawn };
        let pair = calibrate(&server, &verifier, sample, &|| ()).await.unwrap();
        assert!(!pair.exact);
        let judged = async |answer: Answer| {
            Report::new(&read(&verifier, &answer).await.unwrap(), &pair, true).verdict
        };
        for seed in 0..4 {
            assert_eq!(judged(shown(&server, seed, scheme).await).await, Verdict::Pass);
        }
        assert_eq!(judged(shown(&cheat, 1, scheme).await).await, Verdict::Fail);
    }
}

#[tokio::test]
async fn greedy_answers_carry_no_evidence() {
    let dir = dir();
    let verifier = engine(dir.path(), NumericClass::F32, None);
    let sampler = Sampler::Seeded { temperature: 0.0, seed: 0, binding: None };
    let answer =
        evidence::answer(&verifier, "hello", 40, sampler, Scheme::default()).await.unwrap();
    assert_eq!(report(&verifier, &answer).await.verdict, Verdict::NoEvidence);
}

#[tokio::test]
async fn a_server_without_a_seed_is_judged_by_surprisal_and_the_report_says_so() {
    let options = LoadOptions::default().with_class(NumericClass::F32).with_threads(1);
    let model = Model::load(&ModelSource::Tiny, options).unwrap();
    let verifier = Engine::start(model, EngineOptions::default());
    let drawn = Drawn { seed: 5, temperature: TEMPERATURE, scheme: Scheme::default() };
    let sample = Sample { sequences: 24, max_tokens: 64, drawn };
    let pair = calibrate(&verifier, &verifier, sample, &|| ()).await.unwrap();
    let mut unseeded = answer(&verifier, 77).await;
    unseeded.sampler = Sampler::Unseeded { temperature: TEMPERATURE };
    unseeded.logprobs.clear();
    unseeded.fingerprint = Fingerprint::Sketches { sketches: Vec::new() };
    unseeded.root = unseeded.compute_root();
    let judged = Report::new(&read(&verifier, &unseeded).await.unwrap(), &pair, false);
    assert_eq!((judged.verdict, judged.seed_match), (Verdict::Pass, None));
    assert!(judged.reasons.iter().any(|reason| reason.contains("surprisal")));
    // A text of one repeated token surprises the model every time.
    unseeded.completion_ids = vec![17; 64];
    unseeded.root = unseeded.compute_root();
    let judged = Report::new(&read(&verifier, &unseeded).await.unwrap(), &pair, false);
    assert_eq!(judged.verdict, Verdict::Fail, "{judged:?}");
}

#[tokio::test]
async fn an_answer_is_his_who_signed_it_and_whose_seed_it_was_drawn_with() {
    let dir = dir();
    let server = engine(dir.path(), NumericClass::F32, None);
    let [nonce, hotkey, request] = [1, 7, 3].map(|byte| Bytes32([byte; 32]));
    let binding = Binding { nonce, hotkey, request };
    let (seed, binding) = (binding.seed(), Some(binding));
    let sampler = Sampler::Seeded { temperature: TEMPERATURE, seed, binding };
    let answer = evidence::answer(&server, "hello", 8, sampler, Scheme::default()).await.unwrap();
    assert_eq!(answer.signer(|_, _, _| true).unwrap(), None);
    let signed = answer.clone().signed_by([7; 32], |_| [1; 64]);
    let good = |_: &[u8; 32], _: &[u8], signature: &[u8; 64]| *signature == [1; 64];
    assert_eq!(signed.signer(good).unwrap(), Some(hotkey));
    assert!(matches!(signed.signer(|_, _, _| false), Err(AnswerError::Signature { .. })));
    let stolen = answer.signed_by([8; 32], |_| [1; 64]);
    assert!(matches!(stolen.signer(good), Err(AnswerError::Signer { .. })));
}

#[test]
fn nothing_is_demanded_of_another_engine_without_a_measurement() {
    let dir = dir();
    let own = side(&engine(dir.path(), NumericClass::F32, None));
    let other = Side { engine: "another/1".to_owned(), ..own };
    assert!(Pair::equality(&other, &own).is_none());
}

/// Counts the lines of a table that are made.
#[derive(Default)]
struct Lines(std::cell::Cell<usize>);

impl Progress for Lines {
    fn begin(&self, _: Step<'_>) {}
    fn advance(&self) {}
    fn row(&self, _: &Table) {
        self.0.set(self.0.get() + 1);
    }
}

#[tokio::test]
async fn a_table_goes_on_where_an_earlier_run_stopped_and_not_with_another_one() {
    let dir = dir();
    let drawn = Drawn { seed: 3, temperature: TEMPERATURE, scheme: Scheme::Toploc };
    let plan = |cases: &[Case]| Plan {
        source: ModelSource::Path(dir.path().to_owned()),
        cases: cases.to_vec(),
        sequences: 3,
        max_tokens: 40,
        drawn,
        class: NumericClass::F32,
        same_class: true,
        across: None,
        other: None,
        calibration_sequences: 0,
        calibration: None,
        threads: Some(1),
        cost: false,
    };
    let lines = Lines::default();
    let first = table::run(&plan(&[Case::Honest]), None, &lines).await.unwrap();
    let kept: Table = serde_json::from_value(serde_json::to_value(&first).unwrap()).unwrap();
    let both = plan(&[Case::Honest, Case::Q4]);
    let whole = table::run(&both, Some(kept), &lines).await.unwrap();
    assert_eq!((lines.0.get(), whole.cases.len()), (2, 2));
    assert_eq!((&whole.cases[0], whole.cases[0].mismatches), (&first.cases[0], 0));
    assert_eq!((whole.cases[1].convictions, whole.cases[1].bytes_per_32_tokens), (3, 322));
    let others = [
        Plan { sequences: 4, ..both.clone() },
        Plan { calibration_sequences: 9, ..both.clone() },
        Plan { calibration: Some(Calibration::new("given")), ..both.clone() },
        Plan { class: NumericClass::Bf16, ..both },
    ];
    for other in others {
        let refused = table::run(&other, Some(whole.clone()), &lines).await;
        assert!(matches!(refused, Err(TableError::Another)), "{other:?}");
    }
}
