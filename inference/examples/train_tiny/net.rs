//! The network in differentiable candle operators: the same Llama that `inference` runs.

use std::{collections::HashMap, path::Path};

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor, Var};

use crate::data::Batch;

const WIDTH: usize = 128;
const LAYERS: usize = 4;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = WIDTH / HEADS;
const FFN: usize = 256;
/// Longest sequence: a prompt of 140 bytes and its answer take at most as many tokens.
const CONTEXT: usize = 512;
const ROPE_THETA: f64 = 10_000.0;
const NORM_EPS: f64 = 1e-5;

/// Weights by their Hugging Face names.
pub(crate) struct Net {
    words: usize,
    weights: HashMap<String, Var>,
    cos: Tensor,
    sin: Tensor,
}

impl Net {
    pub(crate) fn new(seed: u64, words: usize) -> Result<Self> {
        let mut noise = Noise(seed);
        let mut weights = HashMap::new();
        for (name, rows, cols) in shapes(words) {
            let tensor = match rows {
                None => Tensor::ones(cols, DType::F32, &Device::Cpu)?,
                Some(rows) => {
                    let deviation = deviation(&name, cols);
                    let values: Vec<f32> =
                        (0..rows * cols).map(|_| deviation * noise.next()).collect();
                    Tensor::from_vec(values, (rows, cols), &Device::Cpu)?
                }
            };
            weights.insert(name, Var::from_tensor(&tensor)?);
        }
        let (cos, sin) = rotations()?;
        Ok(Self { words, weights, cos, sin })
    }

    /// In the order of their names, so that training is repeatable.
    pub(crate) fn parameters(&self) -> Vec<Var> {
        let mut names: Vec<_> = self.weights.keys().collect();
        names.sort();
        names.into_iter().map(|name| self.weights[name].clone()).collect()
    }

    /// Weighted mean cross-entropy, in nats.
    pub(crate) fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let logits = self.logits(&batch.inputs)?;
        let logits = logits.reshape(((), self.words))?;
        let logs = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
        let picked = logs.gather(&batch.targets.reshape(((), 1))?, 1)?.squeeze(1)?;
        let weights = batch.weights.flatten_all()?;
        let total = weights.sum_all()?;
        Ok((picked * weights)?.sum_all()?.neg()?.div(&total)?)
    }

    fn weight(&self, name: &str) -> &Tensor {
        self.weights[name].as_tensor()
    }

    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, time) = ids.dims2()?;
        let embedding = self.weight("model.embed_tokens.weight");
        let mut hidden =
            embedding.index_select(&ids.flatten_all()?, 0)?.reshape((batch, time, WIDTH))?;
        let mask = causal(time)?;
        for layer in 0..LAYERS {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            let x = norm(&hidden, self.weight(&name("input_layernorm")))?;
            hidden = (hidden + self.attention(&x, &name, &mask)?)?;
            let x = norm(&hidden, self.weight(&name("post_attention_layernorm")))?;
            let gate = linear(&x, self.weight(&name("mlp.gate_proj")))?.silu()?;
            let up = linear(&x, self.weight(&name("mlp.up_proj")))?;
            hidden = (hidden + linear(&(gate * up)?, self.weight(&name("mlp.down_proj")))?)?;
        }
        linear(&norm(&hidden, self.weight("model.norm.weight"))?, embedding)
    }

    fn attention(
        &self,
        x: &Tensor,
        name: &impl Fn(&str) -> String,
        mask: &Tensor,
    ) -> Result<Tensor> {
        let (batch, time, _) = x.dims3()?;
        let heads = |part: &str, count: usize| -> Result<Tensor> {
            Ok(linear(x, self.weight(&name(part)))?
                .reshape((batch, time, count, HEAD_DIM))?
                .transpose(1, 2)?
                .contiguous()?)
        };
        let query = self.rotate(&heads("self_attn.q_proj", HEADS)?)?;
        let key = repeat(&self.rotate(&heads("self_attn.k_proj", KV_HEADS)?)?)?;
        let value = repeat(&heads("self_attn.v_proj", KV_HEADS)?)?;
        #[expect(clippy::cast_precision_loss, reason = "a head's width")]
        let scale = 1.0 / (HEAD_DIM as f64).sqrt();
        let scores = (query.matmul(&key.transpose(2, 3)?.contiguous()?)? * scale)?;
        let shares = candle_nn::ops::softmax(&scores.broadcast_add(mask)?, D::Minus1)?;
        let mixed = shares.matmul(&value)?.transpose(1, 2)?.reshape((batch, time, WIDTH))?;
        linear(&mixed, self.weight(&name("self_attn.o_proj")))
    }

    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let time = x.dim(2)?;
        let (cos, sin) = (self.cos.narrow(0, 0, time)?, self.sin.narrow(0, 0, time)?);
        let half = HEAD_DIM / 2;
        let (low, high) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
        let turned = Tensor::cat(&[high.neg()?, low], 3)?;
        Ok((x.broadcast_mul(&cos)? + turned.broadcast_mul(&sin)?)?)
    }

    pub(crate) fn write_config(&self, dir: &Path) -> Result<()> {
        let config = serde_json::json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_DIM,
            "intermediate_size": FFN,
            "vocab_size": self.words,
            "max_position_embeddings": CONTEXT,
            "rope_theta": ROPE_THETA,
            "rms_norm_eps": NORM_EPS,
            "tie_word_embeddings": true,
            "eos_token_id": 0,
            "torch_dtype": "bfloat16",
        });
        Ok(std::fs::write(dir.join("config.json"), serde_json::to_string_pretty(&config)?)?)
    }

    /// Writes the weights, rounded to bf16.
    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        let rounded = self
            .weights
            .iter()
            .map(|(name, var)| Ok((name.clone(), var.as_tensor().to_dtype(DType::BF16)?)))
            .collect::<Result<HashMap<_, _>>>()?;
        let partial = dir.join("model.safetensors.partial");
        candle_core::safetensors::save(&rounded, &partial)?;
        Ok(std::fs::rename(partial, dir.join("model.safetensors"))?)
    }
}

/// Every tensor's name and shape; vectors have no rows.
fn shapes(words: usize) -> Vec<(String, Option<usize>, usize)> {
    let kv = KV_HEADS * HEAD_DIM;
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), Some(words), WIDTH),
        ("model.norm.weight".to_owned(), None, WIDTH),
    ];
    for layer in 0..LAYERS {
        for (part, rows, cols) in [
            ("input_layernorm", None, WIDTH),
            ("self_attn.q_proj", Some(WIDTH), WIDTH),
            ("self_attn.k_proj", Some(kv), WIDTH),
            ("self_attn.v_proj", Some(kv), WIDTH),
            ("self_attn.o_proj", Some(WIDTH), WIDTH),
            ("post_attention_layernorm", None, WIDTH),
            ("mlp.gate_proj", Some(FFN), WIDTH),
            ("mlp.up_proj", Some(FFN), WIDTH),
            ("mlp.down_proj", Some(WIDTH), FFN),
        ] {
            shapes.push((format!("model.layers.{layer}.{part}.weight"), rows, cols));
        }
    }
    shapes
}

/// Standard deviation of the initial weights: unit outputs from unit inputs, smaller where a branch
/// joins the residual stream.
#[expect(clippy::cast_precision_loss, reason = "widths and layer counts are small")]
fn deviation(name: &str, cols: usize) -> f32 {
    let unit = 1.0 / (cols as f32).sqrt();
    if name.contains("embed") {
        0.05
    } else if name.contains("o_proj") || name.contains("down_proj") {
        unit / (2.0 * LAYERS as f32).sqrt()
    } else {
        unit
    }
}

fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (batch, time, width) = x.dims3()?;
    let out = x.reshape((batch * time, width))?.matmul(&weight.t()?)?;
    Ok(out.reshape((batch, time, ()))?)
}

fn norm(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + NORM_EPS)?.powf(-0.5)?;
    Ok(x.broadcast_mul(&scale)?.broadcast_mul(weight)?)
}

/// Each key head serves as many query heads.
fn repeat(x: &Tensor) -> Result<Tensor> {
    let (batch, heads, time, dim) = x.dims4()?;
    let times = HEADS / KV_HEADS;
    Ok(x.unsqueeze(2)?.expand((batch, heads, times, time, dim))?.contiguous()?.reshape((
        batch,
        heads * times,
        time,
        dim,
    ))?)
}

fn causal(time: usize) -> Result<Tensor> {
    let mask: Vec<f32> = (0..time * time)
        .map(|place| if place % time <= place / time { 0.0 } else { f32::NEG_INFINITY })
        .collect();
    Ok(Tensor::from_vec(mask, (1, 1, time, time), &Device::Cpu)?)
}

/// Cosines and sines, `[CONTEXT, HEAD_DIM]`, both halves alike.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small integers")]
fn rotations() -> Result<(Tensor, Tensor)> {
    let angles: Vec<f64> = (0..CONTEXT * HEAD_DIM)
        .map(|place| {
            let (position, pair) = (place / HEAD_DIM, place % HEAD_DIM % (HEAD_DIM / 2));
            position as f64 * ROPE_THETA.powf(-2.0 * pair as f64 / HEAD_DIM as f64)
        })
        .collect();
    let table = |f: fn(f64) -> f64| {
        let values: Vec<f32> = angles.iter().map(|&a| f(a) as f32).collect();
        Tensor::from_vec(values, (CONTEXT, HEAD_DIM), &Device::Cpu)
    };
    Ok((table(f64::cos)?, table(f64::sin)?))
}

/// Roughly normal numbers (the sum of twelve uniform ones) from a `SplitMix64` stream.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f32::from(u16::try_from((z ^ (z >> 31)) >> 48).unwrap_or(0)) / 65_536.0
    }
}
