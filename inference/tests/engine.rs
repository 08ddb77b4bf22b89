//! The engine over a random model: what it draws, and what a verifier makes of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use inference::{
    Deviation, Engine, EngineError, EngineOptions, Event, Finish, Job, LoadOptions, Model,
    ModelSource, NumericClass, Prompt, Sampling, evidence::Scheme,
};

fn model(class: NumericClass) -> Model {
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    let source = ModelSource::Path(dir.path().to_owned());
    Model::load(&source, LoadOptions::default().with_class(class).with_threads(1)).unwrap()
}

fn engine() -> Engine {
    Engine::start(model(NumericClass::F32), EngineOptions::default())
}

fn job(text: &str, seed: u64) -> Job {
    Job::new(text, 24, Sampling::new(1.0, seed).unwrap())
}

#[tokio::test]
async fn a_seed_fixes_the_completion() {
    let engine = engine();
    let once = engine.generate(job("hello there", 1)).await.unwrap();
    let again = engine.generate(job("hello there", 1)).await.unwrap();
    let other = engine.generate(job("hello there", 2)).await.unwrap();
    assert_eq!(once.token_ids, again.token_ids);
    assert_ne!(once.token_ids, other.token_ids);
}

#[tokio::test]
async fn a_verifier_draws_every_token_of_an_honest_completion() {
    let engine = engine();
    let done = engine.generate(job("what is a heat pump?", 3)).await.unwrap();
    let checks = engine
        .rescore(&"what is a heat pump?".into(), &done.token_ids, &Sampling::new(1.0, 3).unwrap())
        .await
        .unwrap();
    assert_eq!(checks.len(), done.token_ids.len());
    assert!(checks.iter().all(|check| check.matches() && check.margin.to_bits() == 0));
    assert!(checks.iter().zip(&done.logprobs).all(|(c, l)| c.logprob.to_bits() == l.to_bits()));
}

#[tokio::test]
async fn a_verifier_sees_another_seed_or_another_prompt() {
    let engine = engine();
    let done = engine.generate(job("one", 4)).await.unwrap();
    for (prompt, seed) in [("one", 5), ("two", 4)] {
        let sampling = Sampling::new(1.0, seed).unwrap();
        let checks = engine.rescore(&prompt.into(), &done.token_ids, &sampling).await.unwrap();
        assert!(checks.iter().filter(|c| !c.matches()).count() > 5, "{prompt} {seed}");
    }
}

#[tokio::test]
async fn fingerprints_of_a_decode_are_those_of_the_prefill() {
    let engine = engine();
    let sampling = Sampling::new(1.0, 8).unwrap();
    let prompt = "a sketch, please".into();
    for scheme in Scheme::ALL {
        let asked = Job { fingerprint: Some(scheme), ..job("a sketch, please", 8) };
        let done = engine.generate(asked).await.unwrap();
        let audit = engine.audit(&prompt, &done.token_ids, &sampling, scheme).await.unwrap();
        let fingerprints = audit.states.fingerprint().len();
        assert_eq!(fingerprints, done.token_ids.len().div_ceil(scheme.tokens()));
        assert_eq!(Some(audit.states), done.states);
    }
}

#[tokio::test]
async fn a_deviation_has_another_identity_and_other_states() {
    let exact = model(NumericClass::F32).id();
    let verifier = engine();
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    for deviation in [
        Deviation::Q8Weights,
        Deviation::Q4Weights,
        Deviation::Fp8Weights,
        Deviation::Int8Kv,
        Deviation::DroppedLayer,
        Deviation::OtherWeights,
    ] {
        let options = LoadOptions::default().with_deviation(Some(deviation)).with_threads(1);
        let options = options.with_class(NumericClass::F32);
        let source = ModelSource::Path(dir.path().to_owned());
        let deviating = Model::load(&source, options).unwrap();
        assert_ne!(deviating.id(), exact, "{deviation:?}");
        let engine = Engine::start(deviating, EngineOptions::default());
        let scheme = Scheme::default();
        let asked = Job { fingerprint: Some(scheme), ..job("well?", 2) };
        let done = engine.generate(asked).await.unwrap();
        let sampling = Sampling::new(1.0, 2).unwrap();
        let audit = verifier.audit(&"well?".into(), &done.token_ids, &sampling, scheme).await;
        let audit = audit.unwrap();
        assert_ne!(Some(audit.states), done.states, "{deviation:?}");
    }
}

#[tokio::test]
async fn completions_do_not_depend_on_their_neighbours() {
    let engine = engine();
    let alone = engine.generate(job("alone", 9)).await.unwrap();
    let jobs = (0..8).map(|seed| {
        engine.generate(if seed == 3 {
            job("alone", 9)
        } else {
            job("neighbour, rather long", seed)
        })
    });
    let together = futures::future::join_all(jobs).await;
    assert_eq!(together[3].as_ref().unwrap().token_ids, alone.token_ids);
}

#[tokio::test]
async fn a_stream_spells_out_the_completion() {
    let engine = engine();
    let mut stream = engine.stream(job("spell", 11)).unwrap();
    let (mut ids, mut spelled) = (Vec::new(), String::new());
    let done = loop {
        match stream.next().await.unwrap() {
            Event::Token { id, text, .. } => {
                ids.push(id);
                spelled.push_str(&text);
            }
            Event::Done(done) => break done,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((ids, spelled), (done.token_ids, done.text));
    assert_eq!(done.finish, Finish::Length);
}

#[tokio::test]
async fn a_stop_text_ends_the_completion_and_is_cut_off() {
    let engine = engine();
    let free = engine.generate(job("stop me", 6)).await.unwrap();
    let stop: String = free.text.chars().skip(5).take(2).collect();
    let stopped =
        engine.generate(Job { stop: vec![stop.clone()], ..job("stop me", 6) }).await.unwrap();
    assert_eq!(stopped.finish, Finish::Stop);
    assert_eq!(stopped.text, free.text[..free.text.find(&stop).unwrap()]);
}

#[tokio::test]
async fn impossible_jobs_are_refused_and_the_engine_goes_on() {
    let engine = engine();
    let long = Prompt::Tokens(vec![65; 256]);
    let sampling = Sampling::greedy();
    let refused = [
        engine.generate(Job::new("", 4, sampling)).await.unwrap_err(),
        engine.generate(Job::new("x", 0, sampling)).await.unwrap_err(),
        engine.generate(Job { prompt: long, ..Job::new("x", 4, sampling) }).await.unwrap_err(),
        engine.rescore(&"x".into(), &[9999], &sampling).await.unwrap_err(),
        engine.generate(Job { stop: vec![String::new()], ..job("x", 1) }).await.unwrap_err(),
    ];
    assert!(matches!(
        refused,
        [
            EngineError::EmptyPrompt,
            EngineError::NoTokens,
            EngineError::TooLong { tokens: 257, context: 256 },
            EngineError::UnknownToken { token: 9999, vocab: 257 },
            EngineError::Stops,
        ]
    ));
    assert!(engine.generate(job("still here", 1)).await.is_ok());
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let options = EngineOptions { queue: 1, sequences: 1, ..EngineOptions::default() };
    let engine = Engine::start(model(NumericClass::F32), options);
    let streams: Vec<_> =
        (0..8).map(|seed| engine.stream(Job { max_tokens: 200, ..job("busy", seed) })).collect();
    assert!(streams.iter().any(|s| matches!(s, Err(EngineError::Busy { queue: 1 }))));
}

#[test]
fn the_class_is_part_of_the_identity_and_the_container_is_not() {
    let exact = model(NumericClass::F32);
    assert_eq!(exact.id(), model(NumericClass::F32).id());
    assert_ne!(exact.id(), model(NumericClass::Bf16).id());
}

#[tokio::test]
async fn the_shipped_model_runs() {
    let model = Model::load(&ModelSource::Tiny, LoadOptions::default()).unwrap();
    let engine = Engine::start(model, EngineOptions::default());
    let done = engine.generate(job("ann: red cup\nQ: what has ann?\nA:", 1)).await.unwrap();
    assert!(!done.token_ids.is_empty());
}
