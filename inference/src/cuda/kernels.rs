//! The kernels by name, their arguments as `cuda/kernels/*.cuh` lays them out, and their grids.

use super::driver::Address;
use crate::{kernel::BLOCK_TOKENS, model::Segment};

/// Head widths that attention is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadWidth {
    W32,
    W64,
    W128,
}

impl HeadWidth {
    pub(super) const ALL: [Self; 3] = [Self::W32, Self::W64, Self::W128];

    pub(super) fn of(elements: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|width| width.elements() == elements)
    }

    pub(super) const fn elements(self) -> usize {
        match self {
            Self::W32 => 32,
            Self::W64 => 64,
            Self::W128 => 128,
        }
    }

    /// Shared memory of attention: two stages of a block's keys and values, rows padded by 16 bytes.
    fn shared(self) -> u32 {
        2 * 2 * TOKENS * (count(self.elements()) + 8) * BF16
    }
}

/// A product's tiles, by how many rows share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tiles {
    Rows16,
    Rows64,
    Rows128,
}

impl Tiles {
    const ALL: [Self; 3] = [Self::Rows16, Self::Rows64, Self::Rows128];

    /// The tiles for a product of `rows` rows. All of them give the same bits.
    pub(super) const fn of(rows: usize) -> Self {
        match rows {
            0..=16 => Self::Rows16,
            17..=64 => Self::Rows64,
            _ => Self::Rows128,
        }
    }

    /// Rows, columns and depth of a tile, stages of the pipeline, threads.
    const fn shape(self) -> (u32, u32, u32, u32, u32) {
        match self {
            Self::Rows16 => (16, 32, 128, 6, 64),
            Self::Rows64 => (64, 32, 64, 6, 128),
            Self::Rows128 => (128, 128, 32, 4, 256),
        }
    }

    const fn shared(self) -> u32 {
        let (rows, columns, depth, stages, _) = self.shape();
        stages * (rows + columns) * (depth + 8) * BF16
    }
}

const BF16: u32 = 2;
const TOKENS: u32 = 32;
const _: () = assert!(TOKENS as usize == BLOCK_TOKENS);
const WARP: u32 = 32;

/// Elements that a thread moves at once; widths are multiples of it.
pub(super) const VECTOR: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Embed,
    RmsNorm,
    SiluMul,
    Rope,
    Gemm(Tiles),
    Decode(HeadWidth),
    Prefill(HeadWidth),
    Merge,
    Sample,
}

impl Kernel {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let plain = [Self::Embed, Self::RmsNorm, Self::SiluMul, Self::Rope];
        let tiles = Tiles::ALL.map(Self::Gemm);
        let decodes = HeadWidth::ALL.map(Self::Decode);
        let prefills = HeadWidth::ALL.map(Self::Prefill);
        let rest = [Self::Merge, Self::Sample];
        plain.into_iter().chain(tiles).chain(decodes).chain(prefills).chain(rest)
    }

    /// Its place in [`Self::all`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Embed => 0,
            Self::RmsNorm => 1,
            Self::SiluMul => 2,
            Self::Rope => 3,
            Self::Gemm(tiles) => 4 + tiles as usize,
            Self::Decode(width) => 7 + width as usize,
            Self::Prefill(width) => 10 + width as usize,
            Self::Merge => 13,
            Self::Sample => 14,
        }
    }

    /// Its name in the image.
    pub(super) fn name(self) -> String {
        match self {
            Self::Embed => "embed".to_owned(),
            Self::RmsNorm => "rms_norm".to_owned(),
            Self::SiluMul => "silu_mul".to_owned(),
            Self::Rope => "rope".to_owned(),
            Self::Gemm(tiles) => format!("gemm_{}", tiles.shape().0),
            Self::Decode(width) => format!("attend_decode_{}", width.elements()),
            Self::Prefill(width) => format!("attend_prefill_{}", width.elements()),
            Self::Merge => "attend_merge".to_owned(),
            Self::Sample => "sample".to_owned(),
        }
    }

    /// What a launch of it does, for errors.
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::Embed => "gathering rows",
            Self::RmsNorm => "a norm",
            Self::SiluMul => "a gate",
            Self::Rope => "the rotary embedding",
            Self::Gemm(_) => "a matrix product",
            Self::Decode(_) | Self::Prefill(_) | Self::Merge => "attention",
            Self::Sample => "drawing tokens",
        }
    }

    /// Most shared memory that a launch of it asks for, in bytes.
    pub(super) fn most_shared(self) -> u32 {
        match self {
            Self::Embed | Self::SiluMul | Self::Rope | Self::Merge => 0,
            Self::RmsNorm | Self::Sample => SCRATCH,
            Self::Gemm(tiles) => tiles.shared(),
            Self::Decode(width) | Self::Prefill(width) => width.shared(),
        }
    }
}

/// Scratch of a reduction over a block: eight bytes for each of up to 32 warps.
const SCRATCH: u32 = 8 * 32;

/// A grid of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) kernel: Kernel,
    pub(super) grid: (u32, u32, u32),
    pub(super) threads: u32,
    pub(super) shared: u32,
}

impl Launch {
    fn new(kernel: Kernel, grid: (u32, u32, u32), threads: u32) -> Self {
        Self { kernel, grid, threads, shared: kernel.most_shared() }
    }

    pub(super) fn embed(rows: usize) -> Self {
        Self::new(Kernel::Embed, (count(rows), 1, 1), 128)
    }

    pub(super) fn rms_norm(rows: usize) -> Self {
        Self::new(Kernel::RmsNorm, (count(rows), 1, 1), 256)
    }

    pub(super) fn silu_mul(rows: usize, ffn: usize) -> Self {
        const THREADS: u32 = 128;
        let parts = count(ffn / VECTOR).div_ceil(THREADS);
        Self::new(Kernel::SiluMul, (count(rows), parts, 1), THREADS)
    }

    /// `heads`: of queries, keys and values together.
    pub(super) fn rope(rows: usize, heads: usize) -> Self {
        const WARPS: u32 = 4;
        let parts = count(heads).div_ceil(WARPS);
        Self::new(Kernel::Rope, (count(rows), parts, 1), WARPS * WARP)
    }

    /// A product of `rows`×k by `columns`×k.
    pub(super) fn gemm(rows: usize, columns: usize) -> Self {
        let tiles = Tiles::of(rows);
        let (tall, wide, _, _, threads) = tiles.shape();
        let grid = (count(columns).div_ceil(wide), count(rows).div_ceil(tall), 1);
        Self::new(Kernel::Gemm(tiles), grid, threads)
    }

    /// `group`: query heads that share a key head.
    pub(super) fn decode(
        width: HeadWidth,
        rows: usize,
        splits: usize,
        kv_heads: usize,
        group: usize,
    ) -> Self {
        const ROWS: u32 = 16;
        let grid = (count(rows * splits), count(kv_heads), count(group).div_ceil(ROWS));
        Self::new(Kernel::Decode(width), grid, WARP)
    }

    pub(super) fn merge(width: HeadWidth, rows: usize, heads: usize) -> Self {
        Self::new(Kernel::Merge, (count(rows), count(heads), 1), count(width.elements()))
    }

    pub(super) fn prefill(width: HeadWidth, spans: usize, kv_heads: usize) -> Self {
        const WARPS: u32 = 4;
        Self::new(Kernel::Prefill(width), (count(spans), count(kv_heads), 1), WARPS * WARP)
    }

    pub(super) fn sample(rows: usize) -> Self {
        Self::new(Kernel::Sample, (count(rows), 1, 1), 512)
    }
}

/// Counts of rows, heads and tiles: far below 2³².
pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// `EmbedArgs` of `rows.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct EmbedArgs {
    pub(super) tokens: Address,
    pub(super) table: Address,
    pub(super) out: Address,
    pub(super) vocab: u32,
    pub(super) width: u32,
}

/// `NormArgs` of `rows.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct NormArgs {
    pub(super) residual: Address,
    pub(super) branch: Address,
    pub(super) weight: Address,
    pub(super) out: Address,
    pub(super) width: u32,
    pub(super) eps: f32,
}

/// `GateArgs` of `rows.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct GateArgs {
    pub(super) gate_up: Address,
    pub(super) out: Address,
    pub(super) ffn: u32,
}

/// `RopeArgs` of `rows.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct RopeArgs {
    pub(super) qkv: Address,
    pub(super) bias: Address,
    pub(super) query_norm: Address,
    pub(super) key_norm: Address,
    pub(super) cos: Address,
    pub(super) sin: Address,
    pub(super) positions: Address,
    pub(super) slots: Address,
    pub(super) keys: Address,
    pub(super) values: Address,
    pub(super) heads: u32,
    pub(super) kv_heads: u32,
    pub(super) head_dim: u32,
    pub(super) capacity: u32,
    pub(super) eps: f32,
}

/// `GemmArgs` of `gemm.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct GemmArgs {
    pub(super) x: Address,
    pub(super) w: Address,
    pub(super) out: Address,
    pub(super) m: u32,
    pub(super) n: u32,
    pub(super) k: u32,
}

/// `AttendArgs` of `attention.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct AttendArgs {
    pub(super) qkv: Address,
    pub(super) keys: Address,
    pub(super) values: Address,
    pub(super) out: Address,
    pub(super) partial: Address,
    pub(super) positions: Address,
    pub(super) tables: Address,
    pub(super) spans: Address,
    pub(super) qkv_width: u32,
    pub(super) heads: u32,
    pub(super) kv_heads: u32,
    pub(super) splits: u32,
    pub(super) table_stride: u32,
    pub(super) blocks: u32,
    pub(super) scale: f32,
}

/// Tokens that attention takes at once: `SPLIT` of `attention.cuh`. Part of the numeric class.
pub(super) const SPLIT: usize = 256;

/// Rows of a prefill's block: `PREFILL_WARPS · ROWS` of `attention.cuh`.
const PREFILL_ROWS: usize = 64;

/// Words of a `Span` of `attention.cuh`.
pub(super) const SPAN_WORDS: usize = 5;

/// The spans of a segment whose first token is the step's row `row` and whose blocks begin at word
/// `table` of the tables. `group`: query heads that share a key head.
pub(super) fn spans(
    segment: &Segment<'_>,
    row: usize,
    table: usize,
    group: usize,
) -> impl Iterator<Item = [u32; SPAN_WORDS]> {
    let tokens = segment.tokens.len();
    let start = segment.start;
    (0..tokens * group)
        .step_by(PREFILL_ROWS)
        .map(move |first| [row, tokens, start, table, first].map(count))
}

/// `SampleArgs` of `sample.cuh`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct SampleArgs {
    pub(super) logits: Address,
    pub(super) asks: Address,
    pub(super) answers: Address,
    pub(super) vocab: u32,
    pub(super) least_word: [u32; crate::sample::DEFICITS],
}

/// `Ask` of `sample.cuh`: what is asked of a row of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Ask {
    pub(crate) seed: [u32; 2],
    pub(crate) position: u32,
    /// The token to check, or [`NO_TOKEN`].
    pub(crate) claimed: u32,
    pub(crate) temperature: f32,
    pub(crate) top_p: f32,
    pub(crate) top_k: u32,
    pub(crate) unused: u32,
}

/// No token: the drawn one is meant, or a row only fills up a batch.
pub(super) const NO_TOKEN: u32 = u32::MAX;

/// `Answer` of `sample.cuh`: what a row says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub(crate) struct Answer {
    pub(crate) token: u32,
    pub(crate) drawn: u32,
    pub(crate) rank: u32,
    pub(crate) not_finite: u32,
    pub(crate) logprob: f32,
    pub(crate) entropy: f32,
    pub(crate) surprisal: f32,
    pub(crate) margin: f32,
}

// The other side asserts the same sizes.
const _: () = assert!(size_of::<EmbedArgs>() == 32 && size_of::<NormArgs>() == 40);
const _: () = assert!(size_of::<GateArgs>() == 24 && size_of::<RopeArgs>() == 104);
const _: () = assert!(size_of::<GemmArgs>() == 40 && size_of::<AttendArgs>() == 96);
const _: () = assert!(size_of::<SampleArgs>() == 128 && size_of::<Ask>() == 32);
const _: () = assert!(size_of::<Answer>() == 32 && SPAN_WORDS * 4 == 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_lies_at_its_index() {
        assert!(Kernel::all().enumerate().all(|(index, kernel)| kernel.index() == index));
    }

    #[test]
    fn no_launch_asks_for_more_shared_memory_than_every_device_grants() {
        assert!(Kernel::all().all(|kernel| kernel.most_shared() <= 99 << 10));
    }

    #[test]
    fn a_prefill_is_cut_into_blocks_of_64_rows() {
        let tokens = [0; 40];
        let segment = Segment { tokens: &tokens, start: 7, blocks: &[0, 1] };
        let spans: Vec<_> = spans(&segment, 3, 9, 4).collect();
        assert_eq!(spans, [[3, 40, 7, 9, 0], [3, 40, 7, 9, 64], [3, 40, 7, 9, 128]]);
    }
}
