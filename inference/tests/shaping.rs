//! What is asked of a distribution is done, fixed by the seed, and checked by whoever re-reads it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;

use inference::{
    Completion, Engine, EngineError, EngineOptions, Finish, Form, Job, LoadOptions, Model,
    ModelSource, Prompt, Sampling, Shaping, TokenCheck,
    evidence::{Answer, AnswerError, Sampler, Scheme, Side, read},
};

fn engine() -> Engine {
    let options = LoadOptions::default().with_threads(1);
    Engine::start(Model::load(&ModelSource::Tiny, options).unwrap(), EngineOptions::default())
}

const PROMPT: &str = "copy: a b c";

fn job(shaping: Shaping, seed: u64) -> Job {
    let sampling = Sampling::new(1.5, seed).unwrap();
    let fingerprint = Some(Scheme::default());
    Job { shaping, fingerprint, ..Job::new(PROMPT, 24, sampling) }
}

async fn rescored(engine: &Engine, done: &Completion, shaping: &Shaping) -> Vec<TokenCheck> {
    let sampling = Sampling::new(1.5, 7).unwrap();
    let (prompt, ids, scheme) = (Prompt::from(PROMPT), &done.token_ids, Scheme::default());
    engine.audit_shaped(&prompt, ids, &sampling, shaping, scheme).await.unwrap().checks
}

fn shapings() -> Vec<Shaping> {
    let schema = r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#;
    vec![
        Shaping { top_k: 2, ..Shaping::default() },
        Shaping { top_p: 0.6, ..Shaping::default() },
        Shaping { min_p: 0.3, ..Shaping::default() },
        Shaping { frequency_penalty: 1.5, presence_penalty: 1.0, ..Shaping::default() },
        Shaping { repetition_penalty: 1.4, ..Shaping::default() },
        Shaping { logit_bias: BTreeMap::from([(5, 9.0)]), ..Shaping::default() },
        Shaping { form: Some(Form::JsonSchema(schema.to_owned())), ..Shaping::default() },
        Shaping {
            form: Some(Form::Regex("[a-z ]{4,30}".to_owned())),
            top_p: 0.9,
            ..Shaping::default()
        },
    ]
}

#[tokio::test]
async fn a_shaped_answer_is_drawn_again_by_one_prefill() {
    let engine = engine();
    let plain = engine.generate(job(Shaping::default(), 7)).await.unwrap();
    for shaping in shapings() {
        let done = engine.generate(job(shaping.clone(), 7)).await.unwrap();
        assert_ne!(done.token_ids, plain.token_ids, "{shaping:?} does nothing");
        let checks = rescored(&engine, &done, &shaping).await;
        assert!(checks.iter().all(TokenCheck::matches), "{shaping:?}");
        assert!(checks.iter().all(|check| check.margin.abs() == 0.0), "{shaping:?}");
        let logprobs: Vec<f32> = checks.iter().map(|check| check.logprob).collect();
        assert_eq!(logprobs, done.logprobs, "log-probabilities are the model's own");
        let otherwise = rescored(&engine, &done, &Shaping::default()).await;
        assert!(otherwise.iter().any(|check| !check.matches()), "{shaping:?}");
    }
}

#[tokio::test]
async fn a_text_that_leaves_its_form_is_told_from_one_that_keeps_it() {
    let engine = engine();
    let form = Shaping { form: Some(Form::Regex("[0-9]{8}".to_owned())), ..Shaping::default() };
    let plain = engine.generate(job(Shaping::default(), 7)).await.unwrap();
    let checks = rescored(&engine, &plain, &form).await;
    assert!(checks.iter().all(|check| check.margin > 1e5), "no digit among them: {}", plain.text);
}

#[tokio::test]
async fn a_form_is_kept_and_ends_the_text() {
    let engine = engine();
    for seed in 0..6 {
        let choice = Form::Choice(vec!["yes".to_owned(), "no \"never\"".to_owned()]);
        let done = engine.generate(job(Shaping { form: Some(choice), ..Shaping::default() }, seed));
        let done = done.await.unwrap();
        assert!(["yes", "no \"never\""].contains(&done.text.as_str()), "{}", done.text);
        assert_eq!(done.finish, Finish::Stop);
    }
    for wrong in [
        Form::Regex("(".to_owned()),
        Form::JsonSchema("{".to_owned()),
        Form::JsonSchema(r#"{"type":"colour"}"#.to_owned()),
        Form::Grammar("start: nothing".to_owned()),
        Form::Regex("a".repeat(1 << 20)),
    ] {
        let shaping = Shaping { form: Some(wrong), ..Shaping::default() };
        let refused = engine.generate(job(shaping, 1)).await;
        assert!(matches!(refused, Err(EngineError::Shaping(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn evidence_says_which_sampler_and_what_it_did() {
    let engine = engine();
    let side = || Side { model: engine.model_id(), engine: engine.model().arithmetic().to_owned() };
    for shaping in shapings() {
        let done = engine.generate(job(shaping.clone(), 7)).await.unwrap();
        let ids = engine.tokens(&Prompt::from(PROMPT)).unwrap();
        let sampler = Sampler::of(1.5, 7, None, shaping.clone());
        let answer = Answer::record(side(), sampler, ids, &done).unwrap();
        let text = serde_json::to_string(&answer).unwrap();
        assert!(text.contains("\"gumbel-v2\""));
        let again = Answer::parse(text.as_bytes()).unwrap();
        assert_eq!(again, answer);
        let reading = read(&engine, &again).await.unwrap();
        assert_eq!(reading.mismatches, 0, "{shaping:?}");
        // The shaping is under the root: it cannot be changed afterwards.
        let mut altered = answer;
        altered.sampler = Sampler::of(1.5, 7, None, Shaping { top_k: 3, ..shaping });
        assert!(matches!(altered.check(), Err(AnswerError::Root { .. })));
    }
}

/// However fast the machine is: some time between none and enough cuts the answer.
#[tokio::test]
async fn an_answer_out_of_time_is_what_there_is() {
    let engine = engine();
    let job = Job { ignore_end: true, ..Job::new(PROMPT, 4096, Sampling::greedy()) };
    let whole = engine.generate(job.clone()).await.unwrap();
    let mut time = whole.timing.total;
    let mut cut = None;
    while cut.is_none() && !time.is_zero() {
        match engine.generate(Job { deadline: Some(time), ..job.clone() }).await {
            Ok(done) if done.token_ids.len() < whole.token_ids.len() => cut = Some(done),
            Ok(_) => time = time * 9 / 10,
            Err(EngineError::Deadline { tokens: 0 }) => time = time * 10 / 7,
            Err(error) => panic!("{error}"),
        }
    }
    let cut = cut.unwrap();
    assert_eq!(cut.finish, Finish::Length);
    assert_eq!(cut.token_ids, whole.token_ids[..cut.token_ids.len()]);
    assert!(whole.text.starts_with(&cut.text) && cut.logprobs.len() == cut.token_ids.len());
    let late = Job { deadline: Some(std::time::Duration::ZERO), ..job };
    let nothing = engine.generate(late).await;
    assert!(matches!(nothing, Err(EngineError::Deadline { tokens: 0 })), "{nothing:?}");
}
