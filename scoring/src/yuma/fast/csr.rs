//! Matrices by row: columns ascending, one value each.

use super::arith::Divisor;
use crate::yuma::{EpochInput, Row};

/// A sparse n × n matrix, rows by uid one after another.
#[derive(Debug, Default)]
pub(super) struct Csr<T> {
    /// Where each row starts, and where the last ends.
    starts: Vec<usize>,
    columns: Vec<u16>,
    values: Vec<T>,
}

impl<T: Copy> Csr<T> {
    pub(super) fn with_capacity(rows: usize, cells: usize) -> Self {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Self { starts, columns: Vec::with_capacity(cells), values: Vec::with_capacity(cells) }
    }

    /// Appends a cell to the open row; `column` is above the row's last.
    #[inline]
    pub(super) fn push(&mut self, column: u16, value: T) {
        self.columns.push(column);
        self.values.push(value);
    }

    /// Ends the open row.
    pub(super) fn end_row(&mut self) {
        self.starts.push(self.columns.len());
    }

    pub(super) fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn cells(&self) -> usize {
        self.columns.len()
    }

    /// A row's columns and values.
    #[inline]
    pub(super) fn row(&self, row: usize) -> (&[u16], &[T]) {
        let cells = self.starts[row]..self.starts[row + 1];
        (&self.columns[cells.clone()], &self.values[cells])
    }

    /// As [`Self::row`], the values to be changed.
    #[inline]
    pub(super) fn row_mut(&mut self, row: usize) -> (&[u16], &mut [T]) {
        let cells = self.starts[row]..self.starts[row + 1];
        (&self.columns[cells.clone()], &mut self.values[cells])
    }

    /// Replaces or drops each cell, given its row, column and value, row by row.
    pub(super) fn filter_map(&mut self, mut f: impl FnMut(usize, usize, T) -> Option<T>) {
        let mut kept = 0;
        for row in 0..self.rows() {
            let cells = self.starts[row]..self.starts[row + 1];
            self.starts[row] = kept;
            for cell in cells {
                let column = self.columns[cell];
                if let Some(value) = f(row, usize::from(column), self.values[cell]) {
                    self.columns[kept] = column;
                    self.values[kept] = value;
                    kept += 1;
                }
            }
        }
        let rows = self.rows();
        self.starts[rows] = kept;
        self.columns.truncate(kept);
        self.values.truncate(kept);
    }
}

impl Csr<u64> {
    /// Appends a cell unless it is zero.
    #[inline]
    pub(super) fn push_positive(&mut self, column: u16, value: u64) {
        if value > 0 {
            self.push(column, value);
        }
    }

    /// The stored weights that count (see the plain step of that name), rows summing to one.
    pub(super) fn of_weights(input: &EpochInput, permit: &[bool]) -> Self {
        let neurons = &input.neurons;
        let registered: Vec<u64> = neurons.iter().map(|n| n.block_at_registration).collect();
        let permitted = || neurons.iter().enumerate().filter(|(uid, _)| permit[*uid]);
        let cells = permitted().map(|(_, neuron)| neuron.weights.len()).sum();
        let mut matrix = Self::with_capacity(neurons.len(), cells);
        for (uid, from) in neurons.iter().enumerate() {
            if permit[uid] {
                let committed = from.earliest_commit.filter(|_| input.params.commit_reveal);
                let committed = committed.unwrap_or(u64::MAX);
                let owner = input.params.owner_uid.map(usize::from) == Some(uid);
                for (about, weight) in below(&from.weights, neurons.len()) {
                    let to = usize::from(*about);
                    let counts = (to != uid || owner)
                        && from.last_update > registered[to]
                        && committed >= registered[to];
                    if counts {
                        matrix.push(*about, u64::from(*weight));
                    }
                }
            }
            matrix.end_row();
            matrix.normalize_last_row();
        }
        matrix
    }

    fn normalize_last_row(&mut self) {
        let rows = self.rows();
        let (_, values) = self.row_mut(rows - 1);
        let by = Divisor::new(values.iter().sum());
        values.iter_mut().for_each(|value| *value = by.quotient(*value));
    }
}

impl Csr<u16> {
    /// The stored bonds that count: not about neurons that registered since they were stored.
    pub(super) fn of_bonds(input: &EpochInput) -> Self {
        let neurons = &input.neurons;
        let cutoff = input.bonds_cutoff();
        let fresh: Vec<bool> = neurons.iter().map(|n| cutoff > n.block_at_registration).collect();
        let cells = neurons.iter().map(|neuron| neuron.bonds.len()).sum();
        let mut matrix = Self::with_capacity(neurons.len(), cells);
        for neuron in neurons {
            for (about, bond) in below(&neuron.bonds, neurons.len()) {
                if fresh[usize::from(*about)] {
                    matrix.push(*about, *bond);
                }
            }
            matrix.end_row();
        }
        matrix
    }
}

/// The entries about uids that exist; rows ascend.
fn below(row: &Row<u16>, neurons: usize) -> &[(u16, u16)] {
    &row[..row.partition_point(|(uid, _)| usize::from(*uid) < neurons)]
}

/// Whether a row's uids ascend, none twice.
pub(super) fn is_ascending(row: &Row<u16>) -> bool {
    row.is_sorted_by(|(a, _), (b, _)| a < b)
}
