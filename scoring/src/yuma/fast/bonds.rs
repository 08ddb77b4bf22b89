//! Bonds and dividends in passes over rows.

use super::arith::{self, Divisor, LANES, ONE, mul};
use super::csr::{Csr, Entries, held_bonds};
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
        let held = held_bonds(self.input);
        let incentive: Vec<u64> = incentive.iter().copied().map(arith::bits).collect();
        if self.input.params.yuma3 {
            self.yuma3(bought, &held, &incentive)
        } else {
            self.classic(bought, &held, &incentive)
        }
    }

    fn yuma3(
        &self,
        bought: Csr<u64>,
        held: &[Entries<'_>],
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
        let Averaged { bonds, sums } = match liquid {
            Some((liquid, consensus)) if consensus.iter().any(|level| *level != 0) => {
                average_per_bond(bought, held, &Alphas::new(&liquid, &consensus))
            }
            _ => average(bought, held, self.alpha(), |_, new| new, |_, old| arith::proportion(old)),
        };
        let shares: Vec<Divisor> = sums.into_iter().map(Divisor::new).collect();
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
        held: &[Entries<'_>],
        incentive: &[u64],
    ) -> (Vec<Row<u16>>, Vec<I32F32>) {
        let mut bought_sums = vec![0; incentive.len()];
        for (row, stake) in self.stake.iter().enumerate() {
            let (columns, values) = bought.row_mut(row);
            for (column, value) in columns.iter().zip(values) {
                *value = mul(*value, *stake);
                bought_sums[usize::from(*column)] += *value;
            }
        }
        let mut held_sums = vec![0; incentive.len()];
        for (about, bond) in held.iter().flat_map(|row| row.iter()) {
            held_sums[usize::from(*about)] += u64::from(*bond);
        }
        let by: Vec<(Divisor, Divisor)> = bought_sums
            .into_iter()
            .zip(held_sums)
            .map(|(bought, held)| (Divisor::new(bought), Divisor::new(held)))
            .collect();
        let Averaged { mut bonds, sums } = average(
            bought,
            held,
            self.alpha(),
            |column, new| by[column].0.quotient(new),
            |column, old| by[column].1.quotient(old.into()),
        );

        // Side by side, so that one look-up a cell serves all.
        let mut columns: Vec<(Divisor, u64, u64)> = sums
            .into_iter()
            .zip(incentive)
            .map(|(sum, incentive)| (Divisor::new(sum), *incentive, 0))
            .collect();
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

/// Bonds after their moving average; cells may be zero.
struct Averaged {
    bonds: Csr<u64>,
    /// Each column's sum.
    sums: Vec<u64>,
}

/// `α × new + (1 − α) × old` of two matrices whose cells are first made fractions.
#[inline]
fn average(
    mut new: Csr<u64>,
    old: &[Entries<'_>],
    alpha: u64,
    new_value: impl Fn(usize, u64) -> u64,
    old_value: impl Fn(usize, u16) -> u64,
) -> Averaged {
    let mut sums = vec![0; new.rows()];
    let keep = ONE - alpha;
    let bought = |column: u16, new: u64| mul(alpha, new_value(column.into(), new));
    let kept = |column: u16, old: u16| mul(keep, old_value(column.into(), old));
    let alike = |(row, old): (usize, &Entries<'_>)| {
        let columns = new.row(row).0;
        let differ = columns.iter().zip(&**old).filter(|(a, (b, _))| *a != b);
        columns.len() == old.len() && differ.count() == 0
    };
    // Where each validator lists whom it holds, as most do, the new matrix becomes the average.
    if old.iter().enumerate().all(alike) {
        for (row, old) in old.iter().enumerate() {
            let (columns, values) = new.row_mut(row);
            for ((column, value), (_, old)) in columns.iter().zip(values).zip(&**old) {
                *value = bought(*column, *value) + kept(*column, *old);
                sums[usize::from(*column)] += *value;
            }
        }
        return Averaged { bonds: new, sums };
    }
    let cells = old.iter().map(|row| row.len()).sum();
    let mut bonds = Csr::with_capacity(new.rows(), new.cells().max(cells));
    for (row, old) in old.iter().enumerate() {
        for_each_pair(new.row(row), old, |at, new, old| {
            let bought = new.map_or(0, |new| bought(at, new));
            let bond = bought + old.map_or(0, |old| kept(at, old));
            bonds.push(at, bond);
            sums[usize::from(at)] += bond;
        });
        bonds.end_row();
    }
    Averaged { bonds, sums }
}

/// Visits the columns that either row lists, ascending, with what each holds there.
fn for_each_pair(
    (columns, values): (&[u16], &[u64]),
    old: &[(u16, u16)],
    mut visit: impl FnMut(u16, Option<u64>, Option<u16>),
) {
    let (mut i, mut j) = (0, 0);
    while i < columns.len() && j < old.len() {
        let (a, (b, held)) = (columns[i], old[j]);
        visit(a.min(b), (a <= b).then(|| values[i]), (b <= a).then_some(held));
        i += usize::from(a <= b);
        j += usize::from(b <= a);
    }
    for (column, new) in columns[i..].iter().zip(&values[i..]) {
        visit(*column, Some(*new), None);
    }
    for (column, held) in &old[j..] {
        visit(*column, None, Some(*held));
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
fn average_per_bond(mut new: Csr<u64>, old: &[Entries<'_>], alphas: &Alphas<'_>) -> Averaged {
    let mut sums = vec![0; new.rows()];
    for (row, old) in old.iter().enumerate() {
        let (columns, values) = new.row_mut(row);
        let mut old = old.iter().peekable();
        let lanes = columns.chunks(LANES).zip(values.chunks_mut(LANES));
        for (columns, values) in lanes {
            let mut bonds = [Bond::default(); LANES];
            for ((bond, column), weight) in bonds.iter_mut().zip(columns).zip(&*values) {
                while old.next_if(|(about, _)| about < column).is_some() {}
                let held = old.next_if(|(about, _)| about == column);
                let held = held.map_or(0, |(_, held)| arith::proportion(*held));
                *bond = Bond { column: *column, weight: *weight, held };
            }
            let bonds = &bonds[..columns.len()];
            for ((value, bond), alpha) in values.iter_mut().zip(bonds).zip(alphas.of(bonds)) {
                let kept = mul(ONE - alpha, bond.held);
                *value = (kept + mul(alpha, bond.weight)).min(ONE);
                sums[usize::from(bond.column)] += *value;
            }
        }
    }
    Averaged { bonds: new, sums }
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
        let distance = if bond.weight >= bond.held {
            bond.weight.saturating_sub(self.consensus[usize::from(bond.column)])
        } else {
            bond.held - bond.weight
        };
        let centred = i128::from(distance.min(ONE)) - i128::from(ONE / 2);
        let product = (centred * i128::from(self.slope)) >> 32;
        i64::try_from(product).unwrap_or(0)
    }
}
