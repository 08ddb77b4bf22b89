//! Files with one oddity each: refused with a message that names it, or exactly what the plain file is.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::path::{Path, PathBuf};

use inference::{LoadError, LoadOptions, Model, ModelSource, NumericClass, requantise};
use safetensors::Dtype;
use serde_json::{Value, json};
use support::files::{Entry, Gguf, Tensor, tensors, write_hub, write_safetensors};

fn case(name: &str) -> Value {
    let corpus: Value = serde_json::from_str(include_str!("corpus/models.json")).unwrap();
    let cases = corpus["cases"].as_array().unwrap();
    cases.iter().find(|case| case["name"] == name).unwrap().clone()
}

fn load(path: &Path) -> Result<Model, LoadError> {
    let options = LoadOptions::default().with_class(NumericClass::F32).with_threads(1);
    Model::load(&ModelSource::Path(path.to_owned()), options)
}

/// What every error of a chain says.
fn said(error: &dyn std::error::Error) -> String {
    let rest = error.source().map(|inner| format!(": {}", said(inner))).unwrap_or_default();
    format!("{error}{rest}")
}

fn refused(what: &str, path: &Path, words: &[&str]) {
    let fault = fault(what, path, words);
    assert!(fault.is_none(), "{fault:?}");
}

/// What is wrong with a refusal that should say `words`.
fn fault(what: &str, path: &Path, words: &[&str]) -> Option<String> {
    let Err(error) = load(path) else { return Some(format!("{what}: loads")) };
    let said = said(&error);
    let missing = words.iter().find(|word| !said.contains(**word));
    missing.map(|word| format!("{what}: `{word}` is not in: {said}"))
}

/// Writes a case's folder with `change` made to it.
fn hub(name: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let (dir, mut case) = (tempfile::tempdir().unwrap(), case(name));
    change(&mut case);
    write_hub(dir.path(), &case);
    dir
}

#[test]
fn a_field_that_changes_the_computation_and_is_not_known_is_named() {
    let mut faults = Vec::new();
    let yarn = |more: (&str, Value)| {
        let mut yarn = json!({ "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0 });
        yarn[more.0] = more.1;
        yarn
    };
    let nested = json!({ "full_attention": { "rope_type": "default" }, "chunked_attention": {} });
    for (field, value, words) in [
        ("logit_scale", json!(0.5), vec!["logit_scale", "0.5", "llama"]),
        ("use_parallel_residual", json!(true), vec!["use_parallel_residual"]),
        ("clip_qkv", json!(8.0), vec!["clip_qkv"]),
        ("embedding_multiplier", json!(12.0), vec!["embedding_multiplier"]),
        ("attn_logit_softcapping", json!(50.0), vec!["attn_logit_softcapping"]),
        ("qk_layernorm", json!(true), vec!["qk_layernorm"]),
        ("num_experts", json!(8), vec!["num_experts"]),
        ("alibi", json!(true), vec!["alibi"]),
        ("rope_interleaved", json!(true), vec!["rope_interleaved"]),
        ("partial_rotary_factor", json!(0.5), vec!["partial_rotary_factor"]),
        ("sliding_window", json!(16), vec!["sliding_window"]),
        ("hidden_act", json!("quick_gelu"), vec!["hidden_act", "quick_gelu"]),
        ("layer_types", json!(vec!["linear_attention"; 4]), vec!["layer_types"]),
        ("rope_theta", json!("10000"), vec!["rope_theta"]),
        ("rope_scaling", json!({ "type": "ntk", "factor": 2.0 }), vec!["rope_scaling"]),
        ("rope_parameters", json!({ "rope_type": "ntk", "factor": 2.0 }), vec!["`ntk`"]),
        (
            "rope_parameters",
            json!({ "rope_type": "llama3", "factor": 2.0 }),
            vec!["low_freq_factor"],
        ),
        ("rope_parameters", json!({ "rope_type": "linear" }), vec!["factor"]),
        ("rope_parameters", yarn(("beta_quick", json!(3.0))), vec!["beta_quick"]),
        ("rope_parameters", yarn(("factor", json!(-4.0))), vec!["-4"]),
        (
            "rope_parameters",
            json!({ "rope_type": "default", "mrope_section": [2, 3, 3] }),
            vec!["mrope_section"],
        ),
        ("rope_parameters", nested, vec!["chunked_attention"]),
        ("model_type", json!("gpt_oss"), vec!["gpt_oss", "supported", "qwen3"]),
        ("model_type", json!("deepseek_v3"), vec!["deepseek_v3"]),
        ("model_type", json!("gemma3"), vec!["`gemma3`"]),
        ("quantization_config", json!({ "quant_method": "fp8" }), vec!["fp8"]),
        ("quantization_config", json!({ "quant_method": "awq", "bits": 4 }), vec!["awq"]),
        ("quantization_config", json!({ "quant_method": "gptq" }), vec!["gptq"]),
        ("quantization_config", json!({ "quant_method": "mxfp4" }), vec!["mxfp4"]),
        ("quantization_config", json!({ "quant_method": "bitsandbytes" }), vec!["bitsandbytes"]),
        ("vocab_size", Value::Null, vec!["vocab_size"]),
        ("hidden_size", json!(-64), vec!["hidden_size"]),
        ("head_dim", json!(15), vec!["15"]),
        ("rms_norm_eps", json!(0.0), vec!["norm epsilon"]),
        ("tie_word_embeddings", json!("yes"), vec!["tie_word_embeddings"]),
        ("eos_token_id", json!("</s>"), vec!["eos_token_id"]),
        ("attention_bias", json!(true), vec!["q_proj.bias", "missing"]),
        ("mlp_bias", json!(true), vec!["gate_proj.bias", "missing"]),
    ] {
        let dir = hub("llama", |case| case["config"][field] = value.clone());
        faults.extend(fault(&format!("{field} = {value}"), dir.path(), &words));
    }
    for (name, field, value, word) in [
        ("mistral, window", "attention_bias", json!(true), "attention_bias"),
        ("mistral, window", "use_sliding_window", json!(false), "sliding_window"),
        ("qwen3_moe", "shared_expert_intermediate_size", json!(64), "shared_expert"),
        ("gemma3", "use_bidirectional_attention", json!(true), "use_bidirectional_attention"),
        ("smollm3", "no_rope_layers", json!([1, 0]), "no_rope_layers"),
        ("granite", "position_embedding_type", json!("nope"), "position_embedding_type"),
    ] {
        let dir = hub(name, |case| case["config"][field] = value.clone());
        faults.extend(fault(&format!("{name}: {field} = {value}"), dir.path(), &[word]));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_field_that_says_nothing_changes_nothing() {
    let plain = load(hub("llama", |_| {}).path()).unwrap().id();
    for (field, value) in [
        ("use_parallel_residual", json!(false)),
        ("logit_scale", Value::Null),
        ("quantization_config", Value::Null),
        ("partial_rotary_factor", json!(1.0)),
        ("sliding_window", Value::Null),
        ("torch_dtype", json!("float16")),
        ("_attn_implementation", json!("eager")),
        ("unknown_list", json!([])),
        ("rope_scaling", Value::Null),
    ] {
        let dir = hub("llama", |case| case["config"][field] = value.clone());
        assert_eq!(load(dir.path()).unwrap().id(), plain, "{field}");
    }
}

/// A folder whose tensors are changed.
fn changed_tensors(
    name: &str,
    change: impl FnOnce(&mut std::collections::BTreeMap<String, Tensor>),
) -> tempfile::TempDir {
    let dir = hub(name, |_| {});
    let mut tensors = tensors(&case(name));
    change(&mut tensors);
    write_safetensors(&dir.path().join("model.safetensors"), &tensors);
    dir
}

#[test]
fn a_tensor_that_is_not_read_or_missing_or_stored_otherwise_is_named() {
    let mut faults = Vec::new();
    let vector = Tensor { dtype: Dtype::F32, shape: vec![64], bytes: vec![0; 256] };
    for extra in [
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.0.self_attn.q_norm.weight",
        "model.layers.3.mlp.down_proj.bias",
        "model.layers.4.input_layernorm.weight",
        "model.layers.0.self_attn.sinks",
        "score.weight",
        "model.vision_tower.x.weight",
    ] {
        let dir = changed_tensors("llama", |all| {
            all.insert(extra.to_owned(), vector.clone());
        });
        faults.extend(fault(extra, dir.path(), &[extra, "not read"]));
    }
    for missing in ["model.layers.1.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"] {
        let dir = changed_tensors("llama", |all| drop(all.remove(missing)));
        faults.extend(fault(missing, dir.path(), &[missing, "missing"]));
    }
    let name = "model.layers.2.mlp.down_proj.weight";
    for (dtype, said) in [(Dtype::F8_E4M3, "F8_E4M3"), (Dtype::I8, "I8"), (Dtype::I32, "I32")] {
        let dir = changed_tensors("llama", |all| {
            let tensor = all.get_mut(name).unwrap();
            tensor.dtype = dtype;
            tensor.bytes.truncate(tensor.bytes.len() / 4 * (dtype.bitsize() / 8));
        });
        faults.extend(fault(said, dir.path(), &[name, said, "F32, F16, BF16"]));
    }
    let dir = changed_tensors("llama", |all| {
        all.get_mut(name).unwrap().shape = vec![64, 2, 48];
    });
    refused("three dimensions", dir.path(), &[name, "[64, 2, 48]"]);
    // What holds nothing learned is passed over.
    let plain = load(hub("llama", |_| {}).path()).unwrap().id();
    let dir = changed_tensors("llama", |all| {
        all.insert("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), vector.clone());
    });
    assert_eq!(load(dir.path()).unwrap().id(), plain);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_configuration_says_whether_the_embedding_is_the_head() {
    let tied = load(hub("llama, tied", |_| {}).path()).unwrap().id();
    let stale = changed_tensors("llama, tied", |all| {
        let mut head = all["model.embed_tokens.weight"].clone();
        head.bytes.reverse();
        all.insert("lm_head.weight".to_owned(), head);
    });
    assert_eq!(load(stale.path()).unwrap().id(), tied);
    let dir = hub("llama, tied", |case| case["config"]["tie_word_embeddings"] = json!(false));
    refused("untied without a head", dir.path(), &["lm_head.weight", "missing"]);
}

fn index(map: &[(&str, &str)]) -> String {
    let map: serde_json::Map<String, Value> =
        map.iter().map(|(name, file)| ((*name).to_owned(), json!(file))).collect();
    json!({ "metadata": { "total_size": 1 }, "weight_map": map }).to_string()
}

/// The plain model in two files, and an index of them.
fn sharded() -> tempfile::TempDir {
    let dir = hub("llama", |_| {});
    let all = tensors(&case("llama"));
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let (mut parts, mut map) = ([const { std::collections::BTreeMap::new() }; 2], Vec::new());
    let files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    for (number, (name, tensor)) in all.iter().enumerate() {
        parts[number % 2].insert(name.clone(), tensor.clone());
        map.push((name.as_str(), files[number % 2]));
    }
    for (file, part) in files.iter().zip(&parts) {
        write_safetensors(&dir.path().join(file), part);
    }
    std::fs::write(dir.path().join("model.safetensors.index.json"), index(&map)).unwrap();
    dir
}

#[test]
fn the_index_says_which_files_make_a_checkpoint() {
    let plain = load(hub("llama", |_| {}).path()).unwrap().id();
    let dir = sharded();
    let path = |name: &str| dir.path().join(name);
    assert_eq!(load(dir.path()).unwrap().id(), plain);
    assert_eq!(load(&path("model-00002-of-00002.safetensors")).unwrap().id(), plain);
    // A stray file with other numbers for a tensor.
    let mut stray = tensors(&case("llama"));
    for tensor in stray.values_mut() {
        tensor.bytes.reverse();
    }
    write_safetensors(&path("adapter.safetensors"), &stray);
    let model = load(dir.path()).unwrap();
    assert_eq!(model.id(), plain);
    assert!(model.notes().iter().any(|note| note.contains("adapter.safetensors")));
    std::fs::remove_file(path("model-00002-of-00002.safetensors")).unwrap();
    refused("a missing shard", dir.path(), &["model-00002-of-00002.safetensors", "index.json"]);
    std::fs::remove_file(path("adapter.safetensors")).unwrap();
    std::fs::remove_file(path("model.safetensors.index.json")).unwrap();
    refused("no index", dir.path(), &["model-00002-of-00002.safetensors"]);
    let dir = hub("llama", |_| {});
    std::fs::rename(dir.path().join("model.safetensors"), dir.path().join("a.safetensors"))
        .unwrap();
    std::fs::copy(dir.path().join("a.safetensors"), dir.path().join("b.safetensors")).unwrap();
    refused("two files", dir.path(), &["several", "index"]);
    // An index that names what no file has.
    let dir = sharded();
    let path = dir.path().join("model.safetensors.index.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let odd = text.replacen(
        "{\"lm_head.weight\"",
        "{\"nowhere.weight\":\"model-00001-of-00002.safetensors\",\"lm_head.weight\"",
        1,
    );
    std::fs::write(&path, odd).unwrap();
    refused("a tensor of no file", dir.path(), &["nowhere.weight"]);
}

#[test]
fn a_folder_without_what_is_read_says_what_to_do() {
    let dir = hub("llama", |_| {});
    let path = |name: &str| dir.path().join(name);
    std::fs::rename(path("tokenizer.json"), path("tokenizer.model")).unwrap();
    refused(
        "tokenizer.model",
        dir.path(),
        &["tokenizer.json", "tokenizer.model", "save_pretrained"],
    );
    std::fs::remove_file(path("model.safetensors")).unwrap();
    refused("no weights", dir.path(), &["no model.safetensors"]);
    std::fs::write(path("pytorch_model.bin"), b"x").unwrap();
    refused("pickles", dir.path(), &["pytorch_model.bin", "pickle"]);
    std::fs::write(path("model.gguf"), b"x").unwrap();
    refused("a GGUF inside", dir.path(), &["model.gguf", "name that file"]);
    let error =
        requantise(dir.path(), NumericClass::F32, &path("out.gguf"), |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("folder"), "{error}");
}

/// Writes the plain GGUF file with `change` made to it.
fn gguf(name: &str, change: impl FnOnce(&mut Gguf)) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let mut file = Gguf::of(&case(name));
    change(&mut file);
    file.write(&path);
    (dir, path)
}

#[test]
fn a_gguf_key_that_changes_the_computation_and_is_not_known_is_named() {
    let mut faults = Vec::new();
    let text = |value: &str| Entry::from(value);
    for (key, entry, words) in [
        ("general.architecture", text("mamba"), vec!["`mamba`", "supported"]),
        ("general.architecture", text("gpt-oss"), vec!["`gpt-oss`"]),
        ("general.type", text("adapter"), vec!["`adapter`"]),
        ("general.type", text("mmproj"), vec!["`mmproj`"]),
        ("llama.strange_scale", Entry::F32(2.0), vec!["llama.strange_scale", "2"]),
        ("llama.use_parallel_residual", Entry::Bool(true), vec!["use_parallel_residual"]),
        ("llama.attention.clamp_kqv", Entry::F32(8.0), vec!["clamp_kqv"]),
        ("llama.attention.max_alibi_bias", Entry::F32(8.0), vec!["max_alibi_bias"]),
        ("llama.attention.causal", Entry::Bool(false), vec!["attention.causal"]),
        ("llama.attention.value_length", Entry::U32(32), vec!["value_length"]),
        ("llama.attention.head_count_kv", Entry::I32s(vec![2, 2, 1, 2]), vec!["head_count_kv"]),
        ("llama.attention.head_count_kv", Entry::U32(3), vec!["3"]),
        ("llama.attention.key_length", Entry::U32(8), vec!["value_length"]),
        ("llama.rope.dimension_count", Entry::U32(7), vec!["7"]),
        ("llama.rope.dimension_count", Entry::U32(32), vec!["32"]),
        ("llama.rope.scaling.type", text("ntk"), vec!["`ntk`"]),
        ("llama.rope.scaling.type", text("longrope"), vec!["rope_factors_short"]),
        ("llama.rope.scaling.attn_factor", Entry::F32(1.2), vec!["attn_factor"]),
        ("llama.rope.freq_base", Entry::F32(0.0), vec!["rope theta"]),
        ("llama.logit_scale", Entry::F32(0.5), vec!["logit_scale"]),
        ("llama.final_logit_softcapping", Entry::F32(30.0), vec!["final_logit_softcapping"]),
        ("llama.block_count", Entry::U32(3), vec!["blk.3."]),
        ("llama.block_count", Entry::U32(5), vec!["model.layers.4", "missing"]),
        ("llama.expert_count", Entry::U32(4), vec!["expert_used_count"]),
        ("llama.embedding_length", text("64"), vec!["embedding_length"]),
        ("tokenizer.ggml.model", text("rwkv"), vec!["`rwkv`"]),
        ("tokenizer.ggml.model", text("bert"), vec!["`bert`"]),
        ("tokenizer.ggml.pre", text("kimi-k2"), vec!["`kimi-k2`"]),
        ("tokenizer.ggml.pre", text("nobody-knows"), vec!["`nobody-knows`", "tokens"]),
        ("tokenizer.ggml.normalizer.lowercase", Entry::Bool(true), vec!["normalizer.lowercase"]),
        ("tokenizer.ggml.suppress_tokens", Entry::I32s(vec![3]), vec!["suppress_tokens"]),
        ("tokenizer.ggml.add_bos_token", Entry::Bool(true), vec!["bos_token_id"]),
        ("tokenizer.ggml.tokens", Entry::Texts(vec!["a".to_owned(); 257]), vec!["twice"]),
        ("tokenizer.ggml.merges", Entry::Texts(vec!["ab".to_owned()]), vec!["`ab`"]),
        ("tokenizer.chat_template", text("{% if %}"), vec!["line 1"]),
        ("split.count", Entry::U32(2), vec!["-of-00002.gguf"]),
    ] {
        let (_dir, path) = gguf("gguf llama", |file| file.set(key, entry));
        faults.extend(fault(key, &path, &words));
    }
    for key in ["llama.embedding_length", "llama.context_length", "tokenizer.ggml.merges"] {
        let (_dir, path) = gguf("gguf llama", |file| drop(file.entries.remove(key)));
        faults.extend(fault(key, &path, &[key]));
    }
    for (name, key, entry, word) in [
        (
            "gguf gemma3",
            "gemma3.attention.sliding_window_pattern",
            Entry::U32(5),
            "sliding_window_pattern",
        ),
        ("gguf qwen3moe", "qwen3moe.expert_gating_func", Entry::U32(2), "expert_gating_func"),
        ("gguf qwen3moe", "qwen3moe.expert_shared_count", Entry::U32(1), "expert_shared_count"),
        ("gguf qwen3moe", "qwen3moe.expert_count", Entry::U32(5), "6×64"),
        (
            "gguf llama, rope_freqs.weight",
            "llama.rope.scale_linear",
            Entry::F32(2.0),
            "rope.scaling",
        ),
    ] {
        let (_dir, path) = gguf(name, |file| file.set(key, entry));
        faults.extend(fault(key, &path, &[word]));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_gguf_tensor_that_is_not_read_or_of_a_type_that_is_not_is_named() {
    let mut faults = Vec::new();
    let vector = || (vec![64], 0, vec![0; 256]);
    for extra in [
        "blk.0.attn_sinks.weight",
        "blk.0.attn_q_norm.weight",
        "blk.1.ffn_down.bias",
        "blk.0.ffn_down.scale",
        "token_types.weight",
    ] {
        let (_dir, path) =
            gguf("gguf llama", |file| drop(file.tensors.insert(extra.to_owned(), vector())));
        faults.extend(fault(extra, &path, &[extra, "not read"]));
    }
    let (_dir, path) = gguf("gguf llama", |file| {
        file.tensors.insert("blk.0.attn_q.bias".to_owned(), vector());
    });
    refused("one bias of three", &path, &["k_proj.bias", "missing"]);
    for (code, name) in
        [(39, "MXFP4"), (23, "IQ4_XS"), (20, "IQ4_NL"), (34, "TQ1_0"), (99, "GGML type 99")]
    {
        let (_dir, path) = gguf("gguf llama", |file| {
            file.tensors.get_mut("blk.1.ffn_up.weight").unwrap().1 = code;
        });
        faults.extend(fault(
            name,
            &path,
            &["blk.1.ffn_up.weight", name, "Q4_K"].map(|w| if w == "Q4_K" { "Q6_K" } else { w }),
        ));
    }
    let (_dir, path) = gguf("gguf llama", |file| {
        file.tensors.get_mut("blk.1.ffn_up.weight").unwrap().0 = vec![64, 48, 2];
    });
    refused("three dimensions", &path, &["blk.1.ffn_up.weight", "[64, 48, 2]"]);
    // The architecture is judged before its tensors' types.
    let (_dir, path) = gguf("gguf llama", |file| {
        file.set("general.architecture", "gpt-oss");
        file.tensors.values_mut().for_each(|tensor| tensor.1 = 39);
    });
    refused("types of a foreign architecture", &path, &["`gpt-oss`"]);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn other_versions_and_byte_orders_are_named() {
    for (version, words) in [(1, "version 1"), (4, "version 4"), (3_u32.swap_bytes(), "big-endian")]
    {
        let (_dir, path) = gguf("gguf llama", |file| file.version = version);
        refused(words, &path, &[words]);
    }
}

#[test]
fn a_split_gguf_is_read_whole_from_its_first_part() {
    let (_dir, whole) = gguf("gguf llama", |_| {});
    let whole = load(&whole).unwrap().id();
    let dir = tempfile::tempdir().unwrap();
    let path = |part: u32| dir.path().join(format!("m-{part:05}-of-00003.gguf"));
    let file = Gguf::of(&case("gguf llama"));
    for part in 0..3 {
        let mut piece = file.clone();
        let mut number = 0;
        piece.tensors.retain(|_, _| {
            number += 1;
            number % 3 == part
        });
        if part > 0 {
            piece.entries.clear();
        }
        piece.set("split.no", Entry::U32(part));
        piece.set("split.count", Entry::U32(3));
        piece.set("split.tensors.count", Entry::U32(3));
        piece.write(&path(part + 1));
    }
    assert_eq!(load(&path(1)).unwrap().id(), whole);
    refused("the second part", &path(2), &["part 2 of 3", "m-00001-of-00003.gguf"]);
    std::fs::remove_file(path(3)).unwrap();
    refused("a missing part", &path(1), &["m-00003-of-00003.gguf", "missing"]);
}

#[test]
fn a_template_that_fails_on_the_plainest_chat_is_told_and_the_model_still_loads() {
    let (_dir, path) = gguf("gguf llama", |file| {
        file.set("tokenizer.chat_template", "a\nb{{ x | nosuch }}");
    });
    let notes = load(&path).unwrap().notes().join("\n");
    assert!(notes.contains("line 2") && notes.contains("nosuch"), "{notes}");
}
