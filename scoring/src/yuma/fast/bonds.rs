//! Bonds and dividends in passes over rows.

use super::arith::{self, Divisor, LANES, ONE, mul};
use super::csr::Csr;
use crate::fixed::{I32F32, ZERO};
use crate::variants::Rules;
use crate::yuma::plain::bonds::{bonds_alpha, liquid_source};
use crate::yuma::plain::math::slope;
use crate::yuma::standing::Standing;
use crate::yuma::{EpochInput, LiquidAlpha, Row};

/// The whole, in the moving average's millionths.
pub(super) const MILLION: u64 = 1_000_000;

/// What the bond passes read besides weights.
pub(super) struct Bonding<'a> {
    pub(super) input: &'a EpochInput,
    pub(super) standing: &'a Standing,
    pub(super) rules: &'a Rules,
    /// This epoch's consensus by uid.
    pub(super) consensus: &'a [u64],
    /// Active stake by uid.
    pub(super) stake: &'a [u64],
}

impl Bonding<'_> {
    /// The bonds to store, and the dividends by uid, not yet normalised.
    pub(super) fn run(
        &self,
        bought: Csr<u64>,
        incentive: &[I32F32],
    ) -> (Vec<Row<u16>>, Vec<I32F32>) {
        let held = Csr::of_bonds(self.input);
        let incentive: Vec<u64> = incentive.iter().copied().map(arith::bits).collect();
        match self.input.params.yuma3 {
            true => self.yuma3(&bought, &held, &incentive),
            false => self.classic(bought, &held, &incentive),
        }
    }

    fn yuma3(
        &self,
        bought: &Csr<u64>,
        held: &Csr<u16>,
        incentive: &[u64],
    ) -> (Vec<Row<u16>>, Vec<I32F32>) {
        let params = &self.input.params;
        let liquid = params.liquid_alpha.map(|liquid| {
            let previous = liquid_source(self.input, self.rules, &liquid);
            (
                liquid,
                previous.map_or_else(
                    || self.consensus.to_vec(),
                    |stored| stored.into_iter().map(arith::bits).collect(),
                ),
            )
        });
        let bonds = match liquid {
            Some((liquid, consensus)) if consensus.iter().any(|level| *level != 0) => {
                average_per_bond(bought, held, &Alphas::new(&liquid, &consensus))
            }
            _ => average(bought, held, self.alpha(), |_, new| new, |_, old| arith::proportion(old)),
        };
        let shares = divisors(&bonds);
        let dividend = |row: usize| {
            let (columns, values) = bonds.row(row);
            let cells = columns.iter().zip(values);
            let yields = cells.map(|(column, value)| {
                let column = usize::from(*column);
                mul(shares[column].quotient(*value), incentive[column])
            });
            arith::fixed(mul(yields.sum(), self.stake[row]))
        };
        let dividends = (0..bonds.rows()).map(dividend).collect();
        (self.stored(&bonds, |_, value| arith::to_u16(value)), dividends)
    }

    fn classic(
        &self,
        mut bought: Csr<u64>,
        held: &Csr<u16>,
        incentive: &[u64],
    ) -> (Vec<Row<u16>>, Vec<I32F32>) {
        for (row, stake) in self.stake.iter().enumerate() {
            bought.row_mut(row).1.iter_mut().for_each(|value| *value = mul(*value, *stake));
        }
        let by: Vec<(Divisor, Divisor)> =
            divisors(&bought).into_iter().zip(divisors(held)).collect();
        let mut bonds = average(
            &bought,
            held,
            self.alpha(),
            |column, new| by[column].0.quotient(new),
            |column, old| by[column].1.quotient(old.into()),
        );

        let shares = divisors(&bonds);
        // Side by side, so that one look-up a cell serves all.
        let mut columns: Vec<(Divisor, u64, u64)> =
            shares.into_iter().zip(incentive).map(|(by, incentive)| (by, *incentive, 0)).collect();
        let mut dividends = vec![ZERO; incentive.len()];
        for (row, dividend) in dividends.iter_mut().enumerate() {
            let (at, values) = bonds.row_mut(row);
            let mut yields = 0;
            for (column, value) in at.iter().zip(values) {
                let (by, incentive, largest) = &mut columns[usize::from(*column)];
                *value = by.quotient(*value);
                *largest = (*value).max(*largest);
                yields += mul(*value, *incentive);
            }
            *dividend = arith::fixed(yields);
        }
        // A column's bonds sum to at most one, so none that is positive became zero.
        let upscale: Vec<Divisor> =
            columns.into_iter().map(|(.., largest)| Divisor::new(largest)).collect();
        let stored =
            self.stored(&bonds, |column, value| arith::to_u16(upscale[column].quotient(value)));
        (stored, dividends)
    }

    /// The rows to store, of neurons with the new permit.
    fn stored(&self, bonds: &Csr<u64>, value: impl Fn(usize, u64) -> u16) -> Vec<Row<u16>> {
        let row = |(row, keep): (usize, &bool)| {
            if !*keep {
                return Row::new();
            }
            let (columns, values) = bonds.row(row);
            let cells = columns.iter().zip(values);
            let store = |(at, bits): (&u16, &u64)| (*at, value(usize::from(*at), *bits));
            // Most rows keep every cell, and are written without looking at the length each time.
            if values.contains(&0) {
                return cells.filter(|(_, bits)| **bits > 0).map(store).collect();
            }
            cells.map(store).collect()
        };
        self.standing.new_permit.iter().enumerate().map(row).collect()
    }

    /// Share of the new weight in a bond.
    fn alpha(&self) -> u64 {
        arith::bits(bonds_alpha(self.input.params.bonds_moving_average))
    }
}

/// A matrix whose columns can be summed.
trait Cells {
    fn bits(self) -> u64;
}

impl Cells for u64 {
    fn bits(self) -> u64 {
        self
    }
}

impl Cells for u16 {
    fn bits(self) -> u64 {
        self.into()
    }
}

/// Each column's sum, to divide by.
fn divisors<T: Copy + Cells>(matrix: &Csr<T>) -> Vec<Divisor> {
    let mut sums = vec![0; matrix.rows()];
    for row in 0..matrix.rows() {
        let (columns, values) = matrix.row(row);
        for (column, value) in columns.iter().zip(values) {
            sums[usize::from(*column)] += value.bits();
        }
    }
    sums.into_iter().map(Divisor::new).collect()
}

/// `α × new + (1 − α) × old` of two matrices whose cells are first made fractions; cells may be
/// zero.
#[inline]
fn average(
    new: &Csr<u64>,
    old: &Csr<u16>,
    alpha: u64,
    new_value: impl Fn(usize, u64) -> u64,
    old_value: impl Fn(usize, u16) -> u64,
) -> Csr<u64> {
    let keep = ONE - alpha;
    let bought = |column: u16, new: u64| mul(alpha, new_value(column.into(), new));
    let kept = |column: u16, old: u16| mul(keep, old_value(column.into(), old));
    let mut averaged = Csr::with_capacity(new.rows(), new.cells().max(old.cells()));
    for row in 0..new.rows() {
        let ((columns, new), (old_columns, old)) = (new.row(row), old.row(row));
        if columns == old_columns {
            let cells = columns.iter().zip(new.iter().zip(old));
            let values = cells.map(|(at, (new, old))| bought(*at, *new) + kept(*at, *old));
            averaged.extend(columns.iter().copied(), values);
        } else {
            for_each_pair((columns, new), (old_columns, old), |at, new, old| {
                let bought = new.map_or(0, |new| bought(at, new));
                averaged.push(at, bought + old.map_or(0, |old| kept(at, old)));
            });
        }
        averaged.end_row();
    }
    averaged
}

/// A row as it is stored in a matrix: columns and values.
type RowOf<'a, T> = (&'a [u16], &'a [T]);

/// Visits the columns that either row lists, ascending, with what each holds there.
#[inline]
fn for_each_pair(
    (new_columns, new_values): RowOf<'_, u64>,
    (old_columns, old_values): RowOf<'_, u16>,
    mut visit: impl FnMut(u16, Option<u64>, Option<u16>),
) {
    let (mut i, mut j) = (0, 0);
    while i < new_columns.len() && j < old_columns.len() {
        let (a, b) = (new_columns[i], old_columns[j]);
        visit(a.min(b), (a <= b).then(|| new_values[i]), (b <= a).then(|| old_values[j]));
        i += usize::from(a <= b);
        j += usize::from(b <= a);
    }
    for (column, new) in new_columns[i..].iter().zip(&new_values[i..]) {
        visit(*column, Some(*new), None);
    }
    for (column, old) in old_columns[j..].iter().zip(&old_values[j..]) {
        visit(*column, None, Some(*old));
    }
}

/// One bond to be averaged at its own rate.
#[derive(Debug, Clone, Copy, Default)]
struct Bond {
    column: u16,
    weight: u64,
    held: u64,
}

/// The moving average at each bond's own rate, of the cells that the new row lists.
fn average_per_bond(new: &Csr<u64>, old: &Csr<u16>, alphas: &Alphas<'_>) -> Csr<u64> {
    let mut averaged = Csr::with_capacity(new.rows(), new.cells());
    let mut row_bonds: Vec<Bond> = Vec::new();
    for row in 0..new.rows() {
        row_bonds.clear();
        for_each_pair(new.row(row), old.row(row), |column, new, old| {
            if let Some(weight) = new {
                row_bonds.push(Bond { column, weight, held: old.map_or(0, arith::proportion) });
            }
        });
        for lanes in row_bonds.chunks(LANES) {
            for (bond, alpha) in lanes.iter().zip(alphas.of(lanes)) {
                let kept = mul(ONE - alpha, bond.held);
                averaged.push(bond.column, (kept + mul(alpha, bond.weight)).min(ONE));
            }
        }
        averaged.end_row();
    }
    averaged
}

/// Liquid alpha's parameters as raw bits: see [`crate::yuma::math::liquid_alpha`].
struct Alphas<'a> {
    low: u64,
    high: u64,
    slope: i64,
    consensus: &'a [u64],
}

impl<'a> Alphas<'a> {
    fn new(params: &LiquidAlpha, consensus: &'a [u64]) -> Self {
        let [low, high] = [params.low, params.high].map(arith::proportion);
        Self { low, high, slope: slope(params).to_bits(), consensus }
    }

    /// The rate of each of up to [`LANES`] bonds.
    fn of(&self, bonds: &[Bond]) -> [u64; LANES] {
        let mut exponents = [0; LANES];
        for (exponent, bond) in exponents.iter_mut().zip(bonds) {
            *exponent = self.exponent(bond);
        }
        arith::exp_lanes(exponents).map(|exp| {
            let sigmoid = arith::inverse(ONE + exp);
            (self.low + mul(sigmoid, self.high - self.low)).clamp(self.low, self.high)
        })
    }

    /// `slope × (d − ½)`, floored.
    fn exponent(&self, bond: &Bond) -> i64 {
        let distance = match bond.weight >= bond.held {
            true => bond.weight.saturating_sub(self.consensus[usize::from(bond.column)]),
            false => bond.held - bond.weight,
        };
        let centred = i128::from(distance.min(ONE)) - i128::from(ONE / 2);
        let product = (centred * i128::from(self.slope)) >> 32;
        i64::try_from(product).unwrap_or(0)
    }
}
