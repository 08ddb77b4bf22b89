//! Matrices by row: columns ascending, one value each.

use std::borrow::Cow;

use super::arith::Divisor;
use crate::yuma::{EpochInput, Row};

/// Stored entries of a row, `(uid, value)`, uids ascending.
pub(super) type Entries<'a> = Cow<'a, [(u16, u16)]>;

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

    /// Drops the cells that are not `kept`, given their column and value.
    pub(super) fn retain(&mut self, mut kept: impl FnMut(usize, T) -> bool) {
        let mut end = 0;
        for row in 0..self.rows() {
            let cells = self.starts[row]..self.starts[row + 1];
            self.starts[row] = end;
            for cell in cells {
                if kept(self.columns[cell].into(), self.values[cell]) {
                    self.columns[end] = self.columns[cell];
                    self.values[end] = self.values[cell];
                    end += 1;
                }
            }
        }
        let rows = self.rows();
        self.starts[rows] = end;
        self.columns.truncate(end);
        self.values.truncate(end);
    }

    /// Appends cells to the open row, above its last.
    pub(super) fn extend(
        &mut self,
        columns: impl ExactSizeIterator<Item = u16>,
        values: impl ExactSizeIterator<Item = T>,
    ) {
        self.columns.extend(columns);
        self.values.extend(values);
    }
}

impl Csr<u64> {
    /// The stored weights that count (see the plain step of that name), rows summing to one.
    pub(super) fn of_weights(input: &EpochInput, permit: &[bool]) -> Self {
        let neurons = &input.neurons;
        let newcomers = Newcomers::of(input);
        let permitted = || neurons.iter().enumerate().filter(|(uid, _)| permit[*uid]);
        let cells = permitted().map(|(_, neuron)| neuron.weights.len()).sum();
        let mut matrix = Self::with_capacity(neurons.len(), cells);
        for (uid, from) in neurons.iter().enumerate() {
            if permit[uid] {
                let committed = from.earliest_commit.filter(|_| input.params.commit_reveal);
                // Registered by this block is known to the row: strictly before the update, and no
                // later than the commitment.
                let known = from
                    .last_update
                    .checked_sub(1)
                    .map(|last| committed.map_or(last, |committed| committed.min(last)));
                let owner = input.params.owner_uid.map(usize::from) == Some(uid);
                let row = below(&from.weights, neurons.len());
                let own = row.partition_point(|(about, _)| usize::from(*about) < uid);
                let itself = row.get(own).is_some_and(|(about, _)| usize::from(*about) == uid);
                let after = own + usize::from(itself && !owner);
                for part in [&row[..own], &row[after..]] {
                    let part = newcomers.known(part, known);
                    let weights = part.iter().map(|(_, weight)| u64::from(*weight));
                    matrix.extend(part.iter().map(|(about, _)| *about), weights);
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
        for value in values {
            *value = by.quotient(*value);
        }
    }
}

/// The stored bonds that count, rows by uid: not about neurons that registered since they were
/// stored.
pub(super) fn held_bonds(input: &EpochInput) -> Vec<Entries<'_>> {
    let newcomers = Newcomers::of(input);
    let known = input.bonds_cutoff().checked_sub(1);
    let neurons = &input.neurons;
    let known_to = |bonds| newcomers.known(below(bonds, neurons.len()), known);
    neurons.iter().map(|neuron| known_to(&neuron.bonds)).collect()
}

/// When each uid was taken, to drop entries about neurons that a row cannot know.
struct Newcomers {
    registered: Vec<u64>,
    newest: u64,
}

impl Newcomers {
    fn of(input: &EpochInput) -> Self {
        let registered: Vec<u64> =
            input.neurons.iter().map(|neuron| neuron.block_at_registration).collect();
        let newest = registered.iter().copied().max().unwrap_or(0);
        Self { registered, newest }
    }

    /// The entries about neurons that registered by block `known`; none if that is `None`.
    fn known<'a>(&self, row: &'a [(u16, u16)], known: Option<u64>) -> Entries<'a> {
        let Some(known) = known else { return Cow::Borrowed(&[]) };
        if self.newest <= known {
            return Cow::Borrowed(row);
        }
        let by_then = |(about, _): &&(u16, u16)| self.registered[usize::from(*about)] <= known;
        row.iter().filter(by_then).copied().collect()
    }
}

/// The entries about uids that exist; rows ascend.
fn below(row: &Row<u16>, neurons: usize) -> &[(u16, u16)] {
    &row[..row.partition_point(|(uid, _)| usize::from(*uid) < neurons)]
}

/// Whether a row's uids ascend, none twice.
pub(super) fn is_ascending(row: &Row<u16>) -> bool {
    // Counted to the end, so that several entries are compared at once.
    row.iter().zip(row.iter().skip(1)).filter(|(a, b)| a.0 >= b.0).count() == 0
}
