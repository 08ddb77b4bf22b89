//! Weights packed for products with activations: panels of sixteen rows.

use std::ops::Range;

use super::{
    Isa, LANES, Lane, Pool,
    blocks::{Activations, BlockPanels, BlockProduct},
    isa::{Dot, LaneKernel},
};
use crate::load::{Encoded, Format};

/// Activation rows that share one pass over a panel: sixteen sums stay in registers with room for
/// the weights and a broadcast.
pub(super) const TILE_ROWS: usize = 8;

/// Products smaller than this many multiply-adds are not worth waking another thread.
const MIN_PARALLEL_WORK: usize = 1 << 17;

/// A weight matrix `[rows, cols]`, ready for `y = x·Wᵀ`.
#[derive(Debug)]
pub(crate) struct Matrix {
    rows: usize,
    cols: usize,
    panels: Panels,
}

#[derive(Debug)]
enum Panels {
    /// `[⌈rows/16⌉][cols]` lanes.
    F32(Vec<Lane>),
    /// Integer codes in blocks of 32.
    Blocks(BlockPanels),
}

impl Matrix {
    /// Packs an encoded matrix.
    pub(crate) fn pack(encoded: &Encoded) -> Self {
        let Encoded { rows, cols, .. } = *encoded;
        let panels = match encoded.format {
            Format::F32 | Format::Bf16 => Panels::F32(pack_f32(encoded)),
            Format::Q8_0 | Format::Q4_1 | Format::Q4_0 => {
                Panels::Blocks(BlockPanels::pack(encoded))
            }
        };
        Self { rows, cols, panels }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Weights, padding included: as many as [`Self::bytes`] pays for.
    pub(crate) const fn weights(&self) -> usize {
        self.rows.next_multiple_of(LANES) * self.cols
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        match &self.panels {
            Panels::F32(lanes) => size_of_val(lanes.as_slice()),
            Panels::Blocks(blocks) => blocks.bytes(),
        }
    }

    /// Row `row` as f32, into `out` of `cols`.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let (panel, lane) = (row / LANES, row % LANES);
        match &self.panels {
            Panels::F32(lanes) => {
                let lanes = &lanes[panel * self.cols..][..self.cols];
                for (out, lanes) in out.iter_mut().zip(lanes) {
                    *out = lanes.0[lane];
                }
            }
            Panels::Blocks(blocks) => blocks.row(panel, lane, out),
        }
    }

    /// `x·Wᵀ`: `x` is `[m, cols]`, the result `[m, rows]`.
    pub(crate) fn product(&self, isa: Isa, pool: &Pool, x: &[f32]) -> Vec<f32> {
        let m = x.len() / self.cols;
        let mut out = vec![0.0; m * self.rows];
        let parts = if m * self.rows * self.cols < MIN_PARALLEL_WORK { 1 } else { pool.threads() };
        let slices = Columns::split(&mut out, self.rows, parts);
        match &self.panels {
            Panels::F32(lanes) => pool.each(slices, |columns| {
                isa.run_lanes(F32Product { lanes, x, cols: self.cols, columns });
            }),
            Panels::Blocks(blocks) => {
                let x = &Activations::quantise(isa, x, self.cols);
                pool.each(slices, |columns| isa.run_lanes(BlockProduct { blocks, x, columns }));
            }
        }
        out
    }
}

/// A range of panels and, for each activation row, the outputs they produce.
pub(super) struct Columns<'a> {
    pub(super) panels: Range<usize>,
    pub(super) rows: Vec<&'a mut [f32]>,
}

impl<'a> Columns<'a> {
    /// Divides `out`, of rows of `width`, into `parts` ranges of whole panels.
    fn split(out: &'a mut [f32], width: usize, parts: usize) -> Vec<Self> {
        let panels = width.div_ceil(LANES);
        let bounds: Vec<usize> = (0..=parts).map(|part| panels * part / parts).collect();
        let mut columns: Vec<Self> = bounds
            .windows(2)
            .map(|pair| Self { panels: pair[0]..pair[1], rows: Vec::new() })
            .collect();
        for mut row in out.chunks_exact_mut(width) {
            for part in &mut columns {
                let taken = (part.panels.len() * LANES).min(row.len());
                let (head, tail) = row.split_at_mut(taken);
                part.rows.push(head);
                row = tail;
            }
        }
        columns
    }
}

fn pack_f32(encoded: &Encoded) -> Vec<Lane> {
    let Encoded { rows, cols, .. } = *encoded;
    let mut lanes = vec![Lane::ZERO; rows.div_ceil(LANES) * cols];
    let mut values = vec![0.0; cols];
    for row in 0..rows {
        encoded.decode_row(row, &mut values);
        let panel = &mut lanes[row / LANES * cols..][..cols];
        for (lane, &value) in panel.iter_mut().zip(&values) {
            lane.0[row % LANES] = value;
        }
    }
    lanes
}

struct F32Product<'a> {
    lanes: &'a [Lane],
    x: &'a [f32],
    cols: usize,
    columns: Columns<'a>,
}

impl LaneKernel for F32Product<'_> {
    #[inline(always)]
    fn run<D: Dot>(mut self, dot: D) {
        let tiles = self.columns.rows.len().div_ceil(TILE_ROWS);
        for (local, panel) in self.columns.panels.clone().enumerate() {
            let weights = &self.lanes[panel * self.cols..][..self.cols];
            for tile in 0..tiles {
                let first = tile * TILE_ROWS;
                let rows = &mut self.columns.rows[first..];
                let x = &self.x[first * self.cols..];
                match rows.len() {
                    1 => f32_tile::<D, 1>(dot, weights, x, rows, local),
                    2 => f32_tile::<D, 2>(dot, weights, x, rows, local),
                    3 => f32_tile::<D, 3>(dot, weights, x, rows, local),
                    4 => f32_tile::<D, 4>(dot, weights, x, rows, local),
                    5 => f32_tile::<D, 5>(dot, weights, x, rows, local),
                    6 => f32_tile::<D, 6>(dot, weights, x, rows, local),
                    7 => f32_tile::<D, 7>(dot, weights, x, rows, local),
                    _ => f32_tile::<D, TILE_ROWS>(dot, weights, x, rows, local),
                }
            }
        }
    }
}

/// Columns of an f32 tile between two looks at where they lie.
const STEP: usize = 16;

/// `M` activation rows against one panel; each sum runs over the columns in order, in a register.
#[inline(always)]
fn f32_tile<D: Dot, const M: usize>(
    dot: D,
    weights: &[Lane],
    x: &[f32],
    rows: &mut [&mut [f32]],
    local: usize,
) {
    let cols = weights.len();
    let mut sums = [dot.floats(&Lane::ZERO.0); M];
    let (steps, rest) = weights.as_chunks::<STEP>();
    for (step, weights) in steps.iter().enumerate() {
        // Arrays, so that the columns of a step need no checks of bounds.
        let mut columns = [&[0.0; STEP]; M];
        for m in 0..M {
            columns[m] = &x[m * cols + step * STEP..].as_chunks().0[0];
        }
        for k in 0..STEP {
            let weight = dot.floats(&weights[k].0);
            for m in 0..M {
                sums[m] = dot.fma(sums[m], columns[m][k], weight);
            }
        }
    }
    for (k, weight) in (steps.len() * STEP..).zip(rest) {
        let weight = dot.floats(&weight.0);
        for m in 0..M {
            sums[m] = dot.fma(sums[m], x[m * cols + k], weight);
        }
    }
    for (row, sum) in rows.iter_mut().zip(sums) {
        store(row, local, &dot.lane(sum));
    }
}

/// Writes a panel's sums; the last panel of a matrix may be narrower than sixteen.
#[inline(always)]
pub(super) fn store(row: &mut [f32], panel: usize, sums: &Lane) {
    let out = &mut row[panel * LANES..];
    let width = out.len().min(LANES);
    out[..width].copy_from_slice(&sums.0[..width]);
}
