//! Weights out of a generator: models of known shapes that say nothing, to measure speed and memory
//! with where the real weights are not at hand.

use std::collections::BTreeSet;

use half::bf16;

use super::{Checkpoint, LoadError, Stored, StoredType, Tensors, safetensors::tiny_tokenizer};
use crate::{
    NumericClass,
    config::{Config, Family, Parts, RopeScaling},
};

/// A shape that random weights are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RandomShape {
    /// Llama 3.1 8B: 8.03·10⁹ weights.
    Llama8b,
    /// Llama 3.2 1B: 1.24·10⁹ weights.
    Llama1b,
}

impl RandomShape {
    /// Every shape.
    pub const ALL: [Self; 2] = [Self::Llama8b, Self::Llama1b];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llama8b => "random:llama-3.1-8b",
            Self::Llama1b => "random:llama-3.2-1b",
        }
    }

    fn config(self) -> Config {
        let scaling =
            |factor| RopeScaling::Llama3 { factor, low: 1.0, high: 4.0, original: 8192.0 };
        let base = Config {
            family: Family::Llama,
            width: 4096,
            layers: 32,
            heads: 32,
            kv_heads: 8,
            head_dim: 128,
            ffn: 14_336,
            vocab: 128_256,
            context: 131_072,
            rope_theta: 500_000.0,
            rope_scaling: Some(scaling(8.0)),
            norm_eps: 1e-5,
            eos: Vec::new(),
            parts: Parts::plain(Family::Llama, 128),
        };
        match self {
            Self::Llama8b => base,
            Self::Llama1b => Config {
                width: 2048,
                layers: 16,
                head_dim: 64,
                ffn: 8192,
                rope_scaling: Some(scaling(32.0)),
                parts: Parts::plain(Family::Llama, 64),
                ..base
            },
        }
    }
}

/// A checkpoint of `shape`. Its words are the shipped model's.
pub(crate) fn random(shape: RandomShape) -> Result<Checkpoint, LoadError> {
    let config = shape.config();
    let tokenizer = tiny_tokenizer(&config)?;
    let tied = shape == RandomShape::Llama1b;
    let tensors = Box::new(Random { config: config.clone(), tied });
    Ok(Checkpoint { config, tokenizer, tensors, notes: Vec::new() })
}

/// The tensors of a small model of `family`, for tests of what computes them.
#[cfg(test)]
pub(crate) fn small(family: Family) -> (Config, Box<dyn Tensors>) {
    let shape = RandomShape::Llama1b.config();
    let config = Config {
        family,
        width: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        ffn: 96,
        vocab: 256,
        parts: Parts::plain(family, 16),
        ..shape
    };
    (config.clone(), Box::new(Random { config, tied: family == Family::Llama }))
}

struct Random {
    config: Config,
    /// The embedding serves as the head.
    tied: bool,
}

impl Tensors for Random {
    fn has(&self, name: &str) -> bool {
        self.dimensions(name).is_some()
    }

    fn shape(&self, name: &str) -> Result<(usize, usize), LoadError> {
        self.dimensions(name).ok_or_else(|| LoadError::MissingTensor { name: name.to_owned() })
    }

    fn native_class(&self) -> NumericClass {
        NumericClass::F32
    }

    fn left_over(&self, _: &BTreeSet<String>) -> Option<String> {
        // They are made as they are asked for.
        None
    }

    fn read(&mut self, name: &str) -> Result<Stored, LoadError> {
        let (rows, cols) = self.shape(name)?;
        let bytes = if name.ends_with("norm.weight") {
            bf16::ONE.to_le_bytes().repeat(cols)
        } else {
            noise(name, rows, cols)
        };
        Ok(Stored { rows, cols, dtype: StoredType::Bf16, bytes })
    }
}

impl Random {
    /// Rows and columns of a tensor that the shape has.
    fn dimensions(&self, name: &str) -> Option<(usize, usize)> {
        let Config { width, ffn, vocab, .. } = self.config;
        let (query, kv) = (self.config.query_width(), self.config.kv_width());
        let (path, kind) = name.rsplit_once('.')?;
        let part = path.rsplit('.').next()?;
        Some(match part {
            "q_proj" if kind == "bias" => (1, query),
            "k_proj" | "v_proj" if kind == "bias" => (1, kv),
            "q_norm" | "k_norm" => (1, self.config.head_dim),
            "embed_tokens" => (vocab, width),
            "lm_head" if !self.tied => (vocab, width),
            "norm" | "input_layernorm" | "post_attention_layernorm" => (1, width),
            "q_proj" => (query, width),
            "k_proj" | "v_proj" => (kv, width),
            "o_proj" => (width, query),
            "gate_proj" | "up_proj" => (ffn, width),
            "down_proj" => (width, ffn),
            _ => return None,
        })
    }
}

/// Values within ±√(3/cols), so that a product keeps the size of what it multiplies.
fn noise(name: &str, rows: usize, cols: usize) -> Vec<u8> {
    #[expect(clippy::cast_precision_loss, reason = "a scale")]
    let reach = (3.0 / cols as f32).sqrt();
    let table: [[u8; 2]; 256] = std::array::from_fn(|byte| {
        #[expect(clippy::cast_precision_loss, reason = "a byte")]
        let unit = (byte as f32 - 127.5) / 127.5;
        bf16::from_f32(unit * reach).to_le_bytes()
    });
    // SplitMix64 (Steele, Lea and Flood, 2014), begun at the name.
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut bytes = Vec::with_capacity(rows * cols * 2);
    while bytes.len() < rows * cols * 2 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        for byte in (z ^ (z >> 31)).to_le_bytes() {
            bytes.extend_from_slice(&table[byte as usize]);
        }
    }
    bytes.truncate(rows * cols * 2);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_8b_shape_has_8_billion_weights() {
        let config = RandomShape::Llama8b.config();
        let random = Random { config: config.clone(), tied: false };
        let layer = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        let size =
            |name: &str| random.dimensions(&format!("{name}.weight")).map_or(0, |(r, c)| r * c);
        let total = config.layers * layer.into_iter().map(size).sum::<usize>()
            + size("embed_tokens")
            + size("lm_head");
        assert_eq!(total, 8_029_995_008);
    }

    #[test]
    fn noise_keeps_the_size_of_what_it_multiplies() {
        let bytes = noise("x", 4, 1000);
        assert_eq!(bytes.len(), 8000);
        let values = bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f64());
        let square: f64 = values.map(|v| v * v).sum::<f64>() / 4.0;
        assert!((square - 1.0).abs() < 0.05, "{square}");
    }
}
