//! The work itself: a chain of integer matrix products, exact on every machine.
//!
//! ```text
//! X₀ = PRF(key, 0)    Aₜ = PRF(key, t)    Cₜ = Aₜ·Xₜ₋₁    Xₜ = requant(Cₜ) + PRF(key, 64 + t)
//! ```
//!
//! for t = 1..=depth. Without what is added a product of noughts would make every later step free.
//! Matrices are n × n in row order, entries of A and X signed bytes, of C `i32`. Each entry of A depends
//! on its row and its column jointly: a matrix whose entries depend on i + j alone (a Hankel one) has
//! products that a recurrence gives in n² steps.

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};

use crate::digest::Digest;
use crate::prf::Prf;

/// Bytes of one block of the PRF, and with it entries.
const BLOCK: usize = 32;
/// Longest chain: matrices up to this index are factors, those above are added.
pub const DEPTH_MAX: usize = 64;
/// Bits that [`after`] drops: the entries of a product of random bytes fill the bits above.
const DROPPED_BITS: u32 = 6;
/// Values of a check vector's entries: a wrong product passes one check with probability at most one in
/// this many (R. Freivalds, *Probabilistic machines can use less running time*, IFIP 1977).
const CHECK_VALUES: u64 = 1 << 15;

/// The signed bytes of matrix `index` under `key`.
pub fn matrix(key: &Digest, index: usize, size: usize) -> Vec<i8> {
    let count = size * size;
    let mut entries = Vec::with_capacity(count + BLOCK);
    for block in 0..count.div_ceil(BLOCK) {
        let mut hash = Blake2b::<U32>::new();
        hash.update(key.0);
        hash.update((index as u64).to_le_bytes());
        hash.update((block as u64).to_le_bytes());
        let bytes: [u8; BLOCK] = hash.finalize().into();
        entries.extend(bytes.map(|byte| i8::from_le_bytes([byte])));
    }
    entries.truncate(count);
    entries
}

/// A·X.
pub fn multiply(size: usize, a: &[i8], x: &[i8]) -> Vec<i32> {
    let mut product = vec![0_i32; size * size];
    for (row, out) in a.chunks_exact(size).zip(product.chunks_exact_mut(size)) {
        for (factor, line) in row.iter().zip(x.chunks_exact(size)) {
            let factor = i32::from(*factor);
            for (sum, value) in out.iter_mut().zip(line) {
                *sum += factor * i32::from(*value);
            }
        }
    }
    product
}

/// The X after a step: of each entry of its product the byte above the lowest six bits, plus a byte of
/// the key's, wrapping.
pub fn after(key: &Digest, step: usize, size: usize, product: &[i32]) -> Vec<i8> {
    let byte = |entry: &i32| i8::from_le_bytes([(entry >> DROPPED_BITS).to_le_bytes()[0]]);
    let added = matrix(key, DEPTH_MAX + step, size);
    product.iter().zip(added).map(|(entry, added)| byte(entry).wrapping_add(added)).collect()
}

/// Every product C₁ … of a chain.
pub fn chain(key: &Digest, size: usize, depth: usize) -> Vec<Vec<i32>> {
    let mut x = matrix(key, 0, size);
    let mut products = Vec::with_capacity(depth);
    for step in 1..=depth {
        let product = multiply(size, &matrix(key, step, size), &x);
        x = after(key, step, size, &product);
        products.push(product);
    }
    products
}

/// The digest that a miner commits a product by.
pub fn root(product: &[i32]) -> Digest {
    let bytes: Vec<u8> = product.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    Digest::of("ganglion/forge/root", &[&bytes])
}

/// Whether A·X = C, by one check vector r: A·(X·r) = C·r. Wrong products pass with probability at most
/// 2⁻¹⁵; right ones always. What has not the right length is wrong.
pub fn checks(size: usize, a: &[i8], x: &[i8], product: &[i32], prf: &mut Prf) -> bool {
    if [a.len(), x.len(), product.len()] != [size * size; 3] {
        return false;
    }
    let r: Vec<i64> =
        (0..size).map(|_| i64::try_from(prf.below(CHECK_VALUES)).unwrap_or(0)).collect();
    let xr = apply(size, x, &r);
    apply(size, a, &xr) == apply(size, product, &r)
}

/// Matrix times vector. The largest sum, 2⁷·(2⁷·2¹⁵·n)·n for n ≤ 1024, is below 2⁵⁰. An entry of a
/// claimed product that is larger than any true one wraps, and then the two sides differ as they should.
fn apply<E: Copy + Into<i64>>(size: usize, matrix: &[E], vector: &[i64]) -> Vec<i64> {
    let dot = |row: &[E]| {
        let terms =
            row.iter().zip(vector).map(|(entry, value)| (*entry).into().wrapping_mul(*value));
        terms.fold(0_i64, i64::wrapping_add)
    };
    matrix.chunks_exact(size).map(dot).collect()
}
