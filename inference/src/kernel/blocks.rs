//! Products of block-quantised weights with activations quantised on the way in.
//!
//! A block of 32 weights is `w = scale·(code − offset) + minimum`, a block of activations
//! `x = step·q`. Their product is
//!
//! ```text
//! Σ w·x = scale·step·(Σ code·q − offset·Σ q) + minimum·step·Σ q
//! ```
//!
//! where everything in brackets is exact in i32; the three f32 roundings of a block happen in the
//! order of [`tile`], block after block.

use half::f16;

use super::{
    Isa, LANES, Lane,
    isa::{Dot, LaneKernel, Line},
    matrix::{Columns, TILE_ROWS, store},
};
use crate::load::{BLOCK, Block, Encoded, Format};

/// Columns of a [`Line`].
const QUAD: usize = 4;

/// Quads in a block.
const QUADS: usize = BLOCK / QUAD;

/// Sixteen f16 numbers.
type Halves = [f16; LANES];

/// Codes and scales of a matrix: `[panel][block]`.
#[derive(Debug)]
pub(super) struct BlockPanels {
    /// Blocks of a row.
    blocks: usize,
    codes: Codes,
    scales: Vec<Halves>,
    /// Empty where the format has no minimum.
    minima: Vec<Halves>,
    /// What is subtracted from every code.
    offset: i32,
}

#[derive(Debug)]
enum Codes {
    /// A byte a code: quad `j` of a block is line `j`.
    Bytes(Vec<Line>),
    /// Two codes a byte: quads `j` and `j + 4` are the low and high halves of line `j`.
    Nibbles(Vec<Line>),
}

impl BlockPanels {
    pub(super) fn pack(encoded: &Encoded) -> Self {
        let blocks = encoded.cols / BLOCK;
        let units = encoded.rows.div_ceil(LANES) * blocks;
        let size = encoded.format.block_bytes().unwrap_or(1);
        let wide = encoded.format == Format::Q8_0;
        let lines = if wide { QUADS } else { QUADS / 2 };
        let mut codes = vec![Line([0; QUAD * LANES]); units * lines];
        let mut scales = vec![[f16::ZERO; LANES]; units];
        let has_minimum = encoded.format == Format::Q4_1;
        let mut minima = vec![[f16::ZERO; LANES]; if has_minimum { units } else { 0 }];
        let mut offset = 0;
        for (index, bytes) in encoded.bytes.chunks_exact(size).enumerate() {
            let (row, block) = (index / blocks, index % blocks);
            let (unit, lane) = (row / LANES * blocks + block, row % LANES);
            let read = Block::read(encoded.format, bytes);
            offset = read.offset.into();
            scales[unit][lane] = read.scale;
            if has_minimum {
                minima[unit][lane] = read.minimum;
            }
            let codes = &mut codes[unit * lines..][..lines];
            for (column, &code) in read.codes.iter().enumerate() {
                let (quad, within) = (column / QUAD, column % QUAD);
                let shift = if quad >= lines { 4 } else { 0 };
                codes[quad % lines].0[lane * QUAD + within] |= code << shift;
            }
        }
        let codes = if wide { Codes::Bytes(codes) } else { Codes::Nibbles(codes) };
        Self { blocks, codes, scales, minima, offset }
    }

    pub(super) fn bytes(&self) -> usize {
        let (Codes::Bytes(lines) | Codes::Nibbles(lines)) = &self.codes;
        size_of_val(lines.as_slice())
            + size_of_val(self.scales.as_slice())
            + size_of_val(self.minima.as_slice())
    }

    /// One row as f32.
    pub(super) fn row(&self, panel: usize, lane: usize, out: &mut [f32]) {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let unit = panel * self.blocks + block;
            let scale = self.scales[unit][lane].to_f32();
            let minimum = self.minima.get(unit).map_or(0.0, |minima| minima[lane].to_f32());
            for (column, out) in out.iter_mut().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "codes are bytes")]
                let code = (i32::from(self.code(unit, lane, column)) - self.offset) as f32;
                *out = scale.mul_add(code, minimum);
            }
        }
    }

    fn code(&self, unit: usize, lane: usize, column: usize) -> u8 {
        let (quad, place) = (column / QUAD, lane * QUAD + column % QUAD);
        match &self.codes {
            Codes::Bytes(lines) => lines[unit * QUADS + quad].0[place],
            Codes::Nibbles(lines) => {
                let byte = lines[unit * (QUADS / 2) + quad % (QUADS / 2)].0[place];
                if quad >= QUADS / 2 { byte >> 4 } else { byte & 0x0f }
            }
        }
    }
}

/// Activations as signed bytes: `x ≈ step·q`, blocks of 32.
#[derive(Debug)]
pub(super) struct Activations {
    /// Blocks of a row.
    blocks: usize,
    /// `[row][block]`.
    packed: Vec<Quantised>,
}

/// A block of activations, with what every panel would compute of it anew.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
struct Quantised {
    /// Four `q` packed little-endian.
    quads: [i32; QUADS],
    step: f32,
    /// `step·Σ q`.
    weight: f32,
    /// `Σ q`.
    sum: i32,
}

impl Activations {
    /// Quantises rows of `cols`: `step = max|x| / 127`, `q` to the nearest, ties to even.
    pub(super) fn quantise(isa: Isa, x: &[f32], cols: usize) -> Self {
        let mut packed = vec![Quantised::default(); x.len() / BLOCK];
        isa.run_lanes(Quantise { x, packed: &mut packed });
        Self { blocks: cols / BLOCK, packed }
    }
}

struct Quantise<'a> {
    x: &'a [f32],
    packed: &'a mut [Quantised],
}

impl LaneKernel for Quantise<'_> {
    #[inline(always)]
    fn run<D: Dot>(self, dot: D) {
        for (packed, block) in self.packed.iter_mut().zip(self.x.as_chunks::<BLOCK>().0) {
            let step = dot.largest(block) / 127.0;
            let inverse = if step == 0.0 { 0.0 } else { 1.0 / step };
            let (bytes, sum) = dot.rounded(block, inverse);
            for (packed, quad) in packed.quads.iter_mut().zip(bytes.as_chunks::<QUAD>().0) {
                *packed = i32::from_le_bytes(*quad);
            }
            (packed.step, packed.weight) = (step, step * sum);
            #[expect(clippy::cast_possible_truncation, reason = "a whole number within ±32·127")]
            let sum = sum as i32;
            packed.sum = sum;
        }
    }
}

/// Some panels of a product.
pub(super) struct BlockProduct<'a> {
    pub(super) blocks: &'a BlockPanels,
    pub(super) x: &'a Activations,
    pub(super) columns: Columns<'a>,
}

impl LaneKernel for BlockProduct<'_> {
    #[inline(always)]
    fn run<D: Dot>(mut self, dot: D) {
        let count = self.columns.rows.len();
        for (local, panel) in self.columns.panels.clone().enumerate() {
            let unit = panel * self.blocks.blocks;
            let mut first = 0;
            while first < count {
                let rows = &mut self.columns.rows[first..];
                let place = Place { unit, first, local };
                first += match rows.len() {
                    1 => tile::<D, 1>(dot, self.blocks, self.x, rows, place),
                    2 => tile::<D, 2>(dot, self.blocks, self.x, rows, place),
                    3 => tile::<D, 3>(dot, self.blocks, self.x, rows, place),
                    4..TILE_ROWS => tile::<D, 4>(dot, self.blocks, self.x, rows, place),
                    _ => tile::<D, TILE_ROWS>(dot, self.blocks, self.x, rows, place),
                };
            }
        }
    }
}

/// Where a tile lies.
#[derive(Clone, Copy)]
struct Place {
    /// First block of the panel.
    unit: usize,
    /// First activation row.
    first: usize,
    /// Panel within the part's outputs.
    local: usize,
}

/// `M` activation rows against one panel; returns `M`.
#[inline(always)]
fn tile<D: Dot, const M: usize>(
    dot: D,
    panels: &BlockPanels,
    x: &Activations,
    rows: &mut [&mut [f32]],
    place: Place,
) -> usize {
    let Place { unit, first, local } = place;
    let count = panels.blocks;
    let mut totals = [dot.floats(&Lane::ZERO.0); M];
    let mut packed = [&[][..]; M];
    for (packed, row) in packed.iter_mut().zip(first..) {
        *packed = &x.packed[row * x.blocks..][..count];
    }
    let scales = &panels.scales[unit..][..count];
    for block in 0..count {
        let mut products = [dot.start(0); M];
        if panels.offset != 0 {
            for r in 0..M {
                products[r] = dot.start(-panels.offset * packed[r][block].sum);
            }
        }
        match &panels.codes {
            Codes::Bytes(lines) => {
                let (lines, _) = lines[(unit + block) * QUADS..].as_chunks::<QUADS>();
                for (quad, line) in lines[0].iter().enumerate() {
                    let bytes = dot.load(line);
                    for r in 0..M {
                        products[r] = dot.dot(products[r], bytes, packed[r][block].quads[quad]);
                    }
                }
            }
            Codes::Nibbles(lines) => {
                let (lines, _) = lines[(unit + block) * (QUADS / 2)..].as_chunks::<{ QUADS / 2 }>();
                for (quad, line) in lines[0].iter().enumerate() {
                    let bytes = dot.load(line);
                    let (low, high) = (dot.low(bytes), dot.high(bytes));
                    for r in 0..M {
                        let quads = &packed[r][block].quads;
                        products[r] = dot.dot_nibbles(products[r], low, quads[quad]);
                        products[r] = dot.dot_nibbles(products[r], high, quads[quad + QUADS / 2]);
                    }
                }
            }
        }
        let scale = dot.floats(&widen(&scales[block]).0);
        for r in 0..M {
            totals[r] = dot.scaled(totals[r], products[r], scale, packed[r][block].step);
        }
        if let Some(minima) = panels.minima.get(unit + block) {
            let minimum = dot.floats(&widen(minima).0);
            for r in 0..M {
                totals[r] = dot.fma(totals[r], packed[r][block].weight, minimum);
            }
        }
    }
    for (row, total) in rows.iter_mut().zip(totals) {
        store(row, local, &dot.lane(total));
    }
    M
}

/// f16 to f32, exactly: the exponent is moved into place by a multiplication with 2¹¹².
#[inline(always)]
fn widen(halves: &Halves) -> Lane {
    const SHIFT: f32 = f32::from_bits((112 + 127) << 23);
    let mut lane = Lane::ZERO;
    for (wide, half) in lane.0.iter_mut().zip(halves) {
        let bits = u32::from(half.to_bits());
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * SHIFT;
        *wide = f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16);
    }
    lane
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{Matrix, Pool},
        load::{Stored, StoredType},
    };

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap()) / 32_768.0 - 1.0
        };
        (0..count).map(next).collect()
    }

    fn encoded(rows: usize, cols: usize, format: Format) -> Encoded {
        let bytes = noise(rows * cols, 5).iter().flat_map(|v| v.to_le_bytes()).collect();
        let stored = Stored { rows, cols, dtype: StoredType::F32, bytes };
        Encoded::new("w", stored, format).unwrap()
    }

    #[test]
    fn widening_is_exact_for_every_finite_half() {
        for bits in (0..=u16::MAX).filter(|&bits| f16::from_bits(bits).is_finite()) {
            let half = f16::from_bits(bits);
            assert_eq!(widen(&[half; LANES]).0[0].to_bits(), half.to_f32().to_bits());
        }
    }

    #[test]
    fn packed_rows_are_the_encoded_rows() {
        for format in [Format::Q8_0, Format::Q4_1, Format::Q4_0] {
            let encoded = encoded(20, 64, format);
            let matrix = Matrix::pack(&encoded);
            let (mut packed, mut plain) = ([0.0; 64], [0.0; 64]);
            for row in 0..20 {
                matrix.row(row, &mut packed);
                encoded.decode_row(row, &mut plain);
                assert_eq!(packed.map(f32::to_bits), plain.map(f32::to_bits), "{format:?}");
            }
        }
    }

    #[test]
    fn products_are_the_same_bits_for_any_set_batch_and_thread_count() {
        let x = noise(19 * 96, 9);
        for format in [Format::F32, Format::Q8_0, Format::Q4_1, Format::Q4_0] {
            let matrix = Matrix::pack(&encoded(40, 96, format));
            let alone: Vec<u32> = x
                .chunks(96)
                .flat_map(|x| matrix.product(Isa::detect(), &Pool::new(1).unwrap(), x))
                .map(f32::to_bits)
                .collect();
            for isa in Isa::available() {
                for threads in [1, 3] {
                    let pool = Pool::new(threads).unwrap();
                    let out = matrix.product(isa, &pool, &x);
                    let bits: Vec<u32> = out.iter().map(|v| v.to_bits()).collect();
                    assert_eq!(bits, alone, "{format:?} {} {threads}", isa.name());
                }
            }
        }
    }

    #[test]
    fn quantised_products_come_close_to_the_exact_ones() {
        let x = noise(96, 3);
        let weights = encoded(40, 96, Format::F32);
        let pool = Pool::new(1).unwrap();
        let exact = Matrix::pack(&weights).product(Isa::detect(), &pool, &x);
        for (format, tolerance) in [(Format::Q8_0, 0.02), (Format::Q4_1, 0.2), (Format::Q4_0, 0.3)]
        {
            let out = Matrix::pack(&encoded(40, 96, format)).product(Isa::detect(), &pool, &x);
            let error: f32 = out.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum();
            let size: f32 = exact.iter().map(|b| b.powi(2)).sum();
            assert!((error / size).sqrt() < tolerance, "{format:?} {}", (error / size).sqrt());
        }
    }
}
