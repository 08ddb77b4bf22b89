//! What a session takes of a device's memory, and what can be had for it: arithmetic only.

use super::{
    driver::MemoryInfo,
    kernels::{HeadWidth, SPLIT, VECTOR},
};
use crate::{config::Config, device::DeviceError, engine::EngineOptions, kernel::BLOCK_TOKENS};

/// Left to the driver, to graphs and to others on the device.
const RESERVE: u64 = 512 << 20;

/// Rows of logits held at once: 256 rows of 128 256 words take 66 MB.
pub(super) const LOGIT_ROWS: usize = 256;

/// Most sequences of a decode that runs as a graph; the batch sizes are the powers of two up to it.
pub(super) const GRAPH_ROWS: usize = 256;

/// Splits of decodes whose sums are held at once; more take turns. 4096 of 32 heads of 128 take 68 MB.
pub(super) const PARTIAL_SPLITS: usize = 4096;

/// Sequences and step of a device that serves many at once.
const SEQUENCES: usize = 256;
const STEP_TOKENS: usize = 2048;

const BF16: usize = 2;
const F32: usize = 4;

/// Elements of every buffer of a session but the keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Workspace {
    /// Rows of a step.
    pub(super) rows: usize,
    /// Positions of the rotary tables: the longest sequence.
    pub(super) positions: usize,
    /// Splits of the longest sequence.
    pub(super) splits: usize,
    /// Words of a step's inputs.
    pub(super) inputs: usize,
}

impl Workspace {
    pub(super) fn new(config: &Config, options: EngineOptions) -> Self {
        let most = options.step_tokens.max(options.sequences).max(1);
        let decodes = options.sequences.clamp(1, GRAPH_ROWS).next_power_of_two();
        let rows = most.max(decodes);
        let positions = config.context.min(options.kv_tokens).max(1);
        let splits = positions.div_ceil(SPLIT);
        let group = config.heads / config.kv_heads;
        let blocks = SPLIT / BLOCK_TOKENS;
        // Tokens, positions, slots and picks; a table for each sequence, rounded up as graphs round;
        // spans of at least one row.
        let tables = rows * splits.next_power_of_two() * blocks;
        let inputs = 4 * rows + tables + 5 * rows * group;
        Self { rows, positions, splits, inputs }
    }

    /// Bytes of a session without its keys and values.
    pub(super) fn bytes(&self, config: &Config) -> u64 {
        let Config { width, ffn, heads, kv_heads, head_dim, vocab, .. } = *config;
        let row = 3 * width + (heads + 2 * kv_heads + heads) * head_dim + 3 * ffn;
        let logits = LOGIT_ROWS * (vocab + width);
        let partial = self.partial(config) * F32;
        let rope = self.positions * head_dim * F32;
        let bytes = (self.rows * row + logits) * BF16 + partial + rope + self.inputs * F32;
        bytes as u64
    }

    /// Numbers of the splits' sums.
    pub(super) fn partial(&self, config: &Config) -> usize {
        PARTIAL_SPLITS.max(self.splits) * config.heads * (config.head_dim + 2)
    }
}

/// Bytes of a block of keys and values, over all layers.
pub(super) const fn block_bytes(config: &Config, layers: usize) -> u64 {
    (2 * layers * config.kv_width() * BLOCK_TOKENS * BF16) as u64
}

/// Bytes of a model's matrices in bf16; its vectors are lost in the rounding of allocations.
pub(super) const fn weight_bytes(config: &Config) -> u64 {
    let (query, kv) = (config.query_width(), config.kv_width());
    let attention = (query + 2 * kv) * config.width + query * config.width;
    let layer = attention + 3 * config.width * config.ffn;
    ((config.vocab * config.width + config.layers * layer) * BF16) as u64
}

/// Refuses a session that does not fit, before anything is allocated.
pub(super) fn check(
    config: &Config,
    layers: usize,
    options: EngineOptions,
    memory: MemoryInfo,
) -> Result<(), DeviceError> {
    let blocks = options.kv_tokens.div_ceil(BLOCK_TOKENS) as u64;
    let needed =
        Workspace::new(config, options).bytes(config) + blocks * block_bytes(config, layers);
    let free = memory.free.saturating_sub(RESERVE);
    if needed > free {
        let what = "the workspace and the keys and values";
        return Err(DeviceError::Memory { what, needed, free, total: memory.total });
    }
    Ok(())
}

/// Options that use what memory is free: as many keys and values as fit beside the workspace.
pub(super) fn fitting(config: &Config, layers: usize, free: u64) -> EngineOptions {
    let options = EngineOptions {
        sequences: SEQUENCES,
        step_tokens: STEP_TOKENS,
        queue: 2 * SEQUENCES,
        kv_tokens: config.context,
    };
    let fixed = Workspace::new(config, options).bytes(config);
    let room = free.saturating_sub(RESERVE).saturating_sub(fixed);
    let blocks = room / block_bytes(config, layers).max(1);
    let blocks = usize::try_from(blocks).unwrap_or(usize::MAX);
    // More than every sequence can fill is of no use.
    let most = SEQUENCES.saturating_mul(config.context);
    EngineOptions { kv_tokens: blocks.saturating_mul(BLOCK_TOKENS).min(most), ..options }
}

/// Refuses a shape that the kernels do not take.
pub(super) fn shape(config: &Config) -> Result<HeadWidth, DeviceError> {
    for (what, found) in [("a width", config.width), ("a feed-forward width", config.ffn)] {
        if !found.is_multiple_of(VECTOR) {
            return Err(DeviceError::Shape { what, known: "multiples of 8", found });
        }
    }
    HeadWidth::of(config.head_dim).ok_or(DeviceError::Shape {
        what: "a head width",
        known: "32, 64 and 128",
        found: config.head_dim,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Family, Parts};

    /// Llama 3.1 8B.
    fn llama() -> Config {
        Config {
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
            rope_scaling: None,
            norm_eps: 1e-5,
            eos: Vec::new(),
            parts: Parts::plain(Family::Llama, 128),
        }
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_token_of_an_8b_model_takes_128_kib_of_keys_and_values() {
        assert_eq!(block_bytes(&llama(), 32) / 32, 128 << 10);
    }

    #[test]
    fn an_8b_model_with_a_head_of_its_own_takes_15_gb_without_it() {
        assert_eq!(weight_bytes(&llama()), 15_009_316_864);
    }

    #[test]
    fn options_that_fit_pass_the_check_and_one_token_more_than_fits_does_not() {
        let config = llama();
        let memory = MemoryInfo { free: 60 * GIB, total: 80 * GIB };
        let options = fitting(&config, 32, memory.free);
        assert!(options.kv_tokens > 400_000, "{}", options.kv_tokens);
        check(&config, 32, options, memory).unwrap();
        let more = EngineOptions { kv_tokens: options.kv_tokens + 2 * BLOCK_TOKENS, ..options };
        let error = check(&config, 32, more, memory).unwrap_err();
        let DeviceError::Memory { needed, free, total, .. } = error else { panic!("{error}") };
        assert_eq!(free, memory.free - RESERVE);
        assert_eq!(total, memory.total);
        assert!(needed > free && needed < free + 64 * block_bytes(&config, 32));
    }

    #[test]
    fn heads_that_no_kernel_takes_are_named() {
        let config = Config { head_dim: 80, ..llama() };
        let said = shape(&config).unwrap_err().to_string();
        assert!(said.contains("80") && said.contains("32, 64 and 128"), "{said}");
        assert!(shape(&llama()).is_ok());
    }
}
