//! Vocabularies of GGUF files, held to the ids that llama.cpp gives (`tests/interop/token_corpus.py`).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::{collections::BTreeMap, path::Path};

use inference::{LoadError, LoadOptions, Model, ModelSource, NumericClass};
use serde_json::Value;
use support::files::{Entry, Gguf};

fn corpus() -> Value {
    serde_json::from_str(include_str!("corpus/tokens.json")).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
}

/// A llama of one layer and nothing learned, with a case's words.
fn file(vocabulary: &Value, settings: &Value) -> Gguf {
    let mut file = Gguf { version: 3, entries: BTreeMap::new(), tensors: BTreeMap::new() };
    let tokens = texts(&vocabulary["tokens"]);
    for (key, number) in [
        ("context_length", 512),
        ("embedding_length", 32),
        ("block_count", 1),
        ("feed_forward_length", 32),
        ("attention.head_count", 2),
    ] {
        file.set(&format!("llama.{key}"), Entry::U32(number));
    }
    file.set("llama.attention.layer_norm_rms_epsilon", Entry::F32(1e-5));
    file.set("general.architecture", "llama");
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    file.set(&key("model"), vocabulary["model"].as_str().unwrap());
    let kinds = vocabulary["kinds"].as_array().unwrap().iter();
    let kinds = kinds.map(|kind| i32::try_from(kind.as_i64().unwrap()).unwrap()).collect();
    file.set(&key("token_type"), Entry::I32s(kinds));
    if vocabulary["merges"].is_array() {
        file.set(&key("merges"), Entry::Texts(texts(&vocabulary["merges"])));
    }
    if let Some(scores) = vocabulary["scores"].as_array() {
        #[expect(clippy::cast_possible_truncation, reason = "they were written as f32")]
        let scores = scores.iter().map(|score| score.as_f64().unwrap() as f32).collect();
        file.set(&key("scores"), Entry::F32s(scores));
    }
    for (name, id) in
        [("bos", "bos_token_id"), ("eos", "eos_token_id"), ("unk", "unknown_token_id")]
    {
        if let Some(number) = vocabulary[name].as_u64() {
            file.set(&key(id), Entry::U32(u32::try_from(number).unwrap()));
        }
    }
    for (key, value) in settings.as_object().unwrap() {
        let entry = value.as_bool().map_or_else(|| value.as_str().unwrap().into(), Entry::Bool);
        file.set(key, entry);
    }
    let mut tensor = |name: &str, shape: &[u64], value: f32| {
        let count = usize::try_from(shape.iter().product::<u64>()).unwrap();
        let bytes = value.to_le_bytes().repeat(count);
        file.tensors.insert(name.to_owned(), (shape.to_vec(), 0, bytes));
    };
    tensor("token_embd.weight", &[32, tokens.len() as u64], 0.0);
    tensor("output_norm.weight", &[32], 1.0);
    for part in ["attn_norm", "ffn_norm"] {
        tensor(&format!("blk.0.{part}.weight"), &[32], 1.0);
    }
    for part in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
        tensor(&format!("blk.0.{part}.weight"), &[32, 32], 0.0);
    }
    file.set(&key("tokens"), Entry::Texts(tokens));
    file
}

fn load(path: &Path) -> Result<Model, LoadError> {
    let options = LoadOptions::default().with_class(NumericClass::F32).with_threads(1);
    Model::load(&ModelSource::Path(path.to_owned()), options)
}

fn loaded(vocabulary: &Value, settings: &Value) -> Model {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    file(vocabulary, settings).write(&path);
    load(&path).unwrap()
}

#[test]
fn ids_are_those_of_llama_cpp() {
    let corpus = corpus();
    let said = texts(&corpus["texts"]);
    let mut faults = Vec::new();
    for case in corpus["cases"].as_array().unwrap() {
        let name = case["vocabulary"].as_str().unwrap();
        let model = loaded(&corpus["vocabularies"][name], &case["settings"]);
        for (text, want) in said.iter().zip(case["ids"].as_array().unwrap()) {
            let found = model.tokenizer().encode(text).unwrap();
            if found != ids(want) {
                let (settings, want) = (&case["settings"], ids(want));
                faults.push(format!("{name} {settings} {text:?}: {found:?}, not {want:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(12)]);
}

#[test]
fn words_of_the_users_stay_in_the_text_and_words_of_control_do_not() {
    let corpus = corpus();
    for name in ["bpe", "spm", "unigram"] {
        let settings = serde_json::json!({ "tokenizer.ggml.pre": "qwen2" });
        let settings = if name == "bpe" { settings } else { serde_json::json!({}) };
        let model = loaded(&corpus["vocabularies"][name], &settings);
        let tokenizer = model.tokenizer();
        let ids = tokenizer.encode("Hi <think>so</think> it<|endoftext|>").unwrap();
        let text = tokenizer.decode(&ids).unwrap();
        assert_eq!(
            text.trim_start().replace("> so", ">so").replace("  it", " it"),
            "Hi <think>so</think> it",
            "{name}"
        );
    }
}

#[test]
fn decoding_keeps_the_blank_before_a_word() {
    let corpus = corpus();
    for name in ["bpe", "spm"] {
        let model = loaded(&corpus["vocabularies"][name], &serde_json::json!({}));
        let tokenizer = model.tokenizer();
        let ids = tokenizer.encode("the lazy dog 日本語 🙂 x").unwrap();
        assert_eq!(
            tokenizer.decode(&ids).unwrap().trim_start(),
            "the lazy dog 日本語 🙂 x",
            "{name}"
        );
        let last = tokenizer.encode("a fox jumps").unwrap();
        let cut = last.len() - 1;
        let (head, tail) = (tokenizer.decode(&last[..cut]), tokenizer.decode(&last[cut..]));
        assert_eq!(
            format!("{}{}", head.unwrap(), tail.unwrap()).trim_start(),
            "a fox jumps",
            "{name}"
        );
    }
}

/// Words that end a turn end a completion, whatever key or list names them.
#[test]
fn a_turn_ends_where_the_file_says() {
    let corpus = corpus();
    let vocabulary = &corpus["vocabularies"]["bpe"];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let mut file = file(vocabulary, &serde_json::json!({ "tokenizer.ggml.pre": "qwen2" }));
    file.set("tokenizer.ggml.eot_token_id", Entry::U32(77));
    file.set("tokenizer.ggml.eom_token_id", Entry::U32(78));
    file.write(&path);
    let model = load(&path).unwrap();
    let eos = u32::try_from(vocabulary["eos"].as_u64().unwrap()).unwrap();
    for (id, ends) in [(77, true), (78, true), (eos, true), (79, false)] {
        assert_eq!(model.tokenizer().ends(id), ends, "{id}");
    }
}
