//! Small random models of every family, held to what `transformers` computes of them in float64
//! (`tests/interop/model_corpus.py` writes the figures, and holds llama.cpp to the same on the same
//! files), and files with an oddity each, which are refused by name.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::{path::Path, sync::Arc};

use inference::{
    Engine, EngineOptions, LoadError, LoadOptions, Model, ModelSource, NumericClass, Prompt,
    Sampling, TokenCheck,
};
use serde_json::Value;
use support::files::{Gguf, write_hub};

/// Largest error of a log-probability in f32, in nats. Norms and sharp heads stretch what one product
/// loses to 10⁻⁷ of it.
const ERROR_NAT: f64 = 2e-3;

/// Where the two likeliest tokens lie further apart than this, the greedy one is the same.
const GAP: f64 = 4e-3;

fn corpus() -> Value {
    serde_json::from_str(include_str!("corpus/models.json")).unwrap()
}

fn load(path: &Path) -> Result<Model, LoadError> {
    let options = LoadOptions::default().with_class(NumericClass::F32).with_threads(1);
    Model::load(&ModelSource::Path(path.to_owned()), options)
}

/// Says of every error in a chain.
fn said(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

async fn checks(model: Model, ids: &[u32]) -> Vec<TokenCheck> {
    let engine = Engine::start(Arc::new(model), EngineOptions::default());
    let prompt = Prompt::Tokens(ids[..1].to_vec());
    engine.rescore(&prompt, &ids[1..], &Sampling::greedy()).await.unwrap()
}

fn numbers(case: &Value, key: &str) -> Vec<f64> {
    case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// What is wrong with a case.
async fn fault(case: &Value, prompt: &[u32]) -> Option<String> {
    let name = case["name"].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let model = if case["container"] == "gguf" {
        let path = dir.path().join("model.gguf");
        Gguf::of(case).write(&path);
        load(&path)
    } else {
        write_hub(dir.path(), case);
        load(dir.path())
    };
    let model = match model {
        Ok(model) => model,
        Err(error) => return Some(format!("{name}: {}", said(&error))),
    };
    let found = checks(model, prompt).await;
    let (logprobs, gaps, greedy) =
        (numbers(case, "logprobs"), numbers(case, "gaps"), numbers(case, "greedy"));
    assert_eq!(found.len(), logprobs.len());
    let mut counted = 0;
    for (position, check) in found.iter().enumerate() {
        let off = (f64::from(check.logprob) - logprobs[position]).abs();
        if off > ERROR_NAT {
            return Some(format!("{name}, position {position}: {off} nat off"));
        }
        let clear = gaps[position] > GAP;
        counted += usize::from(clear);
        if clear && (f64::from(check.seeded_token) - greedy[position]).abs() > 0.5 {
            return Some(format!("{name}, position {position}: another greedy token"));
        }
    }
    let enough = counted * 100 >= found.len() * 95;
    (!enough).then(|| format!("{name}: only {counted} of {} positions tell", found.len()))
}

#[tokio::test]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "token ids, written as numbers"
)]
async fn every_family_computes_what_its_reference_does() {
    let corpus = corpus();
    let prompt: Vec<u32> = numbers(&corpus, "prompt").iter().map(|&id| id as u32).collect();
    let cases = corpus["cases"].as_array().unwrap();
    assert!(cases.len() >= 70, "{}", cases.len());
    let mut faults = Vec::new();
    for case in cases {
        faults.extend(fault(case, &prompt).await);
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
