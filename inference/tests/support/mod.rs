//! Random models of two layers, written to disk as any other checkpoint.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub(crate) mod files;

use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};

/// Writes `config.json`, `tokenizer.json` and `model.safetensors` of a random Llama to `dir`.
pub(crate) fn write_random_llama(dir: &Path) {
    let shape = Shape { vocab: 257, width: 64, heads: 4, kv_heads: 2, ffn: 96, layers: 2 };
    write(dir, &shape.config(), shape.tensors());
}

/// Writes a model of `tensors` (name, rows or 0 for a vector, columns): scales of norms are 1, all
/// else is noise. Words are bytes, and 256.
pub(crate) fn write(dir: &Path, config: &str, tensors: Vec<(String, usize, usize)>) {
    std::fs::write(dir.join("config.json"), config).unwrap();
    std::fs::write(dir.join("tokenizer.json"), byte_tokenizer()).unwrap();
    std::fs::write(dir.join("model.safetensors"), weights(tensors)).unwrap();
}

struct Shape {
    vocab: usize,
    width: usize,
    heads: usize,
    kv_heads: usize,
    ffn: usize,
    layers: usize,
}

impl Shape {
    fn config(&self) -> String {
        serde_json::json!({
            "model_type": "llama",
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "intermediate_size": self.ffn,
            "vocab_size": self.vocab,
            "max_position_embeddings": 256,
            "rope_theta": 10000.0,
            "rms_norm_eps": 1e-5,
            "eos_token_id": 256,
        })
        .to_string()
    }

    fn tensors(&self) -> Vec<(String, usize, usize)> {
        let mut tensors = vec![("model.embed_tokens.weight".to_owned(), self.vocab, self.width)];
        let kv = self.width / self.heads * self.kv_heads;
        for layer in 0..self.layers {
            for (part, rows, cols) in [
                ("input_layernorm", 0, self.width),
                ("self_attn.q_proj", self.width, self.width),
                ("self_attn.k_proj", kv, self.width),
                ("self_attn.v_proj", kv, self.width),
                ("self_attn.o_proj", self.width, self.width),
                ("post_attention_layernorm", 0, self.width),
                ("mlp.gate_proj", self.ffn, self.width),
                ("mlp.up_proj", self.ffn, self.width),
                ("mlp.down_proj", self.width, self.ffn),
            ] {
                tensors.push((format!("model.layers.{layer}.{part}.weight"), rows, cols));
            }
        }
        tensors.push(("model.norm.weight".to_owned(), 0, self.width));
        tensors
    }
}

fn weights(tensors: Vec<(String, usize, usize)>) -> Vec<u8> {
    let mut noise = Noise(7);
    let data: Vec<_> = tensors
        .into_iter()
        .map(|(name, rows, cols)| {
            let shape = if rows == 0 { vec![cols] } else { vec![rows, cols] };
            let scale = rows == 0 && name.ends_with("weight");
            let values: Vec<u8> = (0..rows.max(1) * cols)
                .flat_map(|_| (if scale { 1.0 } else { noise.next() }).to_le_bytes())
                .collect();
            (name, shape, values)
        })
        .collect();
    let views = data.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// Values within ±0.4 from a linear congruential generator.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from(u16::try_from(self.0 >> 48).unwrap()) / 65_536.0 * 0.8 - 0.4
    }
}

/// A letter for each byte, as GPT-2 has them.
pub(crate) fn byte_words() -> Vec<String> {
    let mut printable = 0_u32;
    let word = |byte: u8| match byte {
        33..=126 | 161..=172 | 174..=255 => char::from(byte),
        _ => {
            printable += 1;
            char::from_u32(255 + printable).unwrap()
        }
    };
    (0..=255).map(word).map(String::from).collect()
}

/// A tokenizer whose ids are byte values, and 256 the end.
pub(crate) fn byte_tokenizer() -> String {
    let vocab: serde_json::Map<String, serde_json::Value> =
        (0..).zip(byte_words()).map(|(id, word): (u32, _)| (word, id.into())).collect();
    serde_json::json!({
        "version": "1.0",
        "added_tokens": [{
            "id": 256, "content": "<|endoftext|>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true
        }],
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true },
        "decoder": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true },
        "model": { "type": "BPE", "vocab": vocab, "merges": [] },
    })
    .to_string()
}
