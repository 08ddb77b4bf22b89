//! The only randomness a rule has: `BLAKE2b` in counter mode, keyed by a task's [key](crate::secret).

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};

use crate::digest::Digest;

/// A stream of pseudo-random numbers: block `i` is `BLAKE2b-256(key ‖ i as u64 LE)`, read as four
/// little-endian `u64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prf {
    key: [u8; 32],
    counter: u64,
    block: [u64; WORDS],
    used: usize,
}

/// `u64` words in one BLAKE2b-256 block.
const WORDS: usize = 4;

/// 2^-53: turns the upper 53 bits of a word into a double in [0, 1).
const ULP_OF_UNIT: f64 = 1.0 / 9_007_199_254_740_992.0;

impl Prf {
    /// The stream of `key`, from its beginning.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, counter: 0, block: [0; WORDS], used: WORDS }
    }

    /// The stream of a small number: for tests, corpora and the arena's `--seed`.
    pub fn from_seed(seed: u64) -> Self {
        Self::new(Digest::of("ganglion/seed", &[&seed.to_le_bytes()]).0)
    }

    /// The key: what a child process needs to continue with the same stream from its beginning.
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// An independent stream for `label`; does not advance this one.
    #[must_use]
    pub fn child(&self, label: &str) -> Self {
        Self::new(Digest::of("ganglion/prf-child", &[&self.key, label.as_bytes()]).0)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        if self.used == WORDS {
            self.refill();
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    fn refill(&mut self) {
        let mut hash = Blake2b::<U32>::new();
        hash.update(self.key);
        hash.update(self.counter.to_le_bytes());
        let bytes: [u8; 32] = hash.finalize().into();
        for (word, chunk) in self.block.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        self.counter += 1;
        self.used = 0;
    }

    /// A number in `0..bound`, exactly uniform (values past the last whole multiple are redrawn);
    /// 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let past_last_multiple = (u64::MAX % bound + 1) % bound;
        loop {
            let word = self.next_u64();
            if word <= u64::MAX - past_last_multiple {
                return word % bound;
            }
        }
    }

    /// An index in `0..len`; 0 where `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// A double in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let upper = (self.next_u64() >> 11) as f64;
        upper * ULP_OF_UNIT
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A standard normal deviate (Box–Muller, through `libm`: the same on every machine).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }

    /// One element; `None` from an empty slice.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }

    /// `count` distinct elements in random order (all of them where there are fewer).
    pub fn sample<T: Clone>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut all = from.to_vec();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }

    /// Fisher–Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_uniform_within_four_sigma() {
        let mut prf = Prf::from_seed(1);
        let mut counts = [0_i32; 6];
        for _ in 0..6_000 {
            counts[prf.index(6)] += 1;
        }
        // Binomial(6000, 1/6): mean 1000, sigma 28.9.
        assert!(counts.iter().all(|count| (count - 1_000).abs() < 116), "{counts:?}");
    }

    #[test]
    fn a_bound_of_zero_or_one_yields_zero() {
        let mut prf = Prf::from_seed(2);
        assert_eq!((prf.below(0), prf.below(1), prf.index(0)), (0, 0, 0));
        assert!(prf.pick::<u8>(&[]).is_none());
    }

    #[test]
    fn children_differ_from_each_other_and_leave_the_parent_alone() {
        let parent = Prf::from_seed(3);
        assert_ne!(parent.child("a").next_u64(), parent.child("b").next_u64());
        assert_eq!(parent, Prf::from_seed(3));
    }

    #[test]
    fn a_sample_holds_distinct_elements() {
        let mut sample = Prf::from_seed(4).sample(&[1, 2, 3, 4, 5], 3);
        sample.sort_unstable();
        sample.dedup();
        assert_eq!(sample.len(), 3);
    }
}
