//! Many jobs at once: what they share, who waits, and that none of it changes a token.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use inference::{
    Completion, Engine, EngineError, EngineOptions, Event, Job, LoadOptions, Model, ModelSource,
    NumericClass, Prompt, Sampling, Share,
};

fn model(class: NumericClass, threads: usize) -> Arc<Model> {
    let dir = tempfile::tempdir().unwrap();
    support::write_random_llama(dir.path());
    let source = ModelSource::Path(dir.path().to_owned());
    let options = LoadOptions::default().with_class(class).with_threads(threads);
    Arc::new(Model::load(&source, options).unwrap())
}

fn job(first: u32, prompt: u32, decode: u32) -> Job {
    let tokens = (0..prompt).map(|i| (first * 31 + i * 7) % 256).collect();
    let sampling = Sampling::new(1.0, first.into()).unwrap();
    Job { ignore_end: true, ..Job::new(Prompt::Tokens(tokens), decode, sampling) }
}

async fn all(engine: &Engine, jobs: &[Job]) -> Vec<Completion> {
    let done = join_all(jobs.iter().map(|job| engine.generate(job.clone()))).await;
    done.into_iter().map(|completion| completion.unwrap()).collect()
}

/// Ends once nothing runs, nothing waits and no block is held.
async fn idle(engine: &Engine) {
    loop {
        let load = engine.load();
        if (load.running, load.waiting, load.kv_blocks_used) == (0, 0, 0) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn tokens(done: &[Completion]) -> Vec<(&[u32], Vec<u32>)> {
    let bits = |c: &Completion| c.logprobs.iter().map(|l| l.to_bits()).collect();
    done.iter().map(|c| (&c.token_ids[..], bits(c))).collect()
}

#[tokio::test]
async fn batch_threads_prefix_and_preemption_change_no_bit() {
    let jobs: Vec<Job> = (0..6).map(|first| job(first % 3, 40 + first / 3 * 20, 40)).collect();
    for class in [NumericClass::F32, NumericClass::Q4_1Block32] {
        let alone = Engine::start(
            model(class, 1),
            EngineOptions { sequences: 1, step_tokens: 7, ..EngineOptions::default() },
        );
        let cramped = Engine::start(
            model(class, 2),
            EngineOptions { kv_tokens: 192, sequences: 4, ..EngineOptions::default() },
        );
        let reference = all(&alone, &jobs).await;
        let crowded = all(&cramped, &jobs).await;
        let again = all(&cramped, &jobs).await;
        assert_eq!(tokens(&crowded), tokens(&reference));
        assert_eq!(tokens(&again), tokens(&reference));
        assert!(cramped.load().preemptions > 0, "{:?}", cramped.load());
        assert!(alone.load().cached_tokens > 0, "{:?}", alone.load());
    }
}

#[tokio::test]
async fn a_prompt_that_begins_like_an_earlier_one_is_computed_from_where_they_part() {
    let engine = Engine::start(model(NumericClass::F32, 1), EngineOptions::default());
    let first = engine.generate(job(1, 100, 4)).await.unwrap();
    let longer = engine.generate(job(1, 120, 4)).await.unwrap();
    let other = engine.generate(job(2, 100, 4)).await.unwrap();
    let cached = [first, longer, other].map(|done| done.cached_tokens);
    assert_eq!(cached, [0, 96, 0]);
    let (prompt, sampling) = (job(1, 100, 4).prompt, Sampling::greedy());
    let fresh = Engine::start(model(NumericClass::F32, 1), EngineOptions::default());
    let claimed = [5, 6, 7];
    assert_eq!(
        engine.rescore(&prompt, &claimed, &sampling).await.unwrap(),
        fresh.rescore(&prompt, &claimed, &sampling).await.unwrap(),
    );
}

#[tokio::test]
async fn bursts_beyond_capacity_are_refused_in_part_and_the_engine_goes_on() {
    let options = EngineOptions { queue: 8, sequences: 4, ..EngineOptions::default() };
    let engine = Engine::start(model(NumericClass::F32, 1), options);
    let expected = engine.generate(job(9, 20, 8)).await.unwrap().token_ids;
    for _ in 0..20 {
        let burst = join_all((0..60).map(|_| engine.generate(job(9, 20, 8)))).await;
        let (done, refused): (Vec<_>, Vec<_>) = burst.into_iter().partition(Result::is_ok);
        assert!(done.len() >= 8 && !refused.is_empty());
        assert!(done.into_iter().all(|completion| completion.unwrap().token_ids == expected));
        let busy = |error: &EngineError| matches!(error, EngineError::Busy { queue: 8 });
        assert!(refused.into_iter().all(|refusal| busy(&refusal.unwrap_err())));
    }
    idle(&engine).await;
}

#[tokio::test]
async fn one_caller_with_many_jobs_does_not_keep_another_waiting() {
    let options = EngineOptions { sequences: 1, ..EngineOptions::default() };
    let engine = Engine::start(model(NumericClass::F32, 1), options);
    let of = |caller, decode| Job {
        share: Share { caller: [caller; 32], weight: 1 },
        ..job(u32::from(caller), 20, decode)
    };
    let crowd = join_all((0..20).map(|_| engine.generate(of(1, 200))));
    let newcomer = async {
        tokio::task::yield_now().await;
        engine.generate(of(2, 4)).await.unwrap().timing.total
    };
    let (crowd, newcomer) = tokio::join!(crowd, newcomer);
    let ahead = crowd.iter().filter(|done| done.as_ref().unwrap().timing.total < newcomer).count();
    assert!(ahead <= 2, "{ahead} of the crowd came first");
}

#[tokio::test]
async fn a_dropped_stream_and_a_passed_deadline_free_their_seats() {
    let options = EngineOptions { sequences: 1, ..EngineOptions::default() };
    let engine = Engine::start(model(NumericClass::F32, 1), options);
    let mut stream = engine.stream(job(1, 20, 230)).unwrap();
    assert!(matches!(stream.next().await.unwrap(), Event::Token { .. }));
    let late = Job { deadline: Some(Duration::ZERO), ..job(2, 20, 200) };
    drop(stream);
    assert!(matches!(engine.generate(late).await, Err(EngineError::Deadline { tokens: 0 })));
    engine.generate(job(3, 20, 4)).await.unwrap();
    idle(&engine).await;
}

#[tokio::test]
async fn no_part_of_a_stop_text_is_ever_streamed() {
    let engine = Engine::start(model(NumericClass::F32, 1), EngineOptions::default());
    let plain = engine.generate(job(4, 20, 60)).await.unwrap().text;
    let letters: Vec<char> = plain.chars().collect();
    let stop: String = letters[letters.len() / 2..].iter().take(3).collect();
    let job = Job { stop: vec![stop.clone()], alternatives: 2, ..job(4, 20, 60) };
    let mut stream = engine.stream(job).unwrap();
    let mut streamed = String::new();
    let done = loop {
        match stream.next().await.unwrap() {
            Event::Token { text, likeliest, .. } => {
                assert_eq!(likeliest.len(), 2);
                streamed.push_str(&text);
            }
            Event::Done(done) => break done,
            _ => {}
        }
    };
    assert_eq!(streamed, done.text);
    assert_eq!(done.text, plain[..plain.find(&stop).unwrap()]);
}
