//! Sketches of hidden states: a few random projections that say how far two passes lie apart.
//!
//! The hidden state after the last norm that draws generated token `t` is `h_t`. Over a group of
//! [`GROUP_TOKENS`] tokens the sketch's component `k` is
//!
//! ```text
//! s_k = Σ_t Σ_d σ(seed, t, k, d) · h_t[d]          σ = ±1, from Philox; the sum in f64, then bf16
//! ```
//!
//! With signs drawn independently, `E‖s − s'‖² = directions · Σ‖h − h'‖²` (Johnson–Lindenstrauss with
//! Rademacher signs: Achlioptas, *Database-friendly random projections*, 2003), so the distance of two
//! sketches estimates the distance of the states themselves at a hundredth of their bytes.

use half::bf16;
use serde::{Deserialize, Serialize};

use crate::sample::philox;

/// Generated tokens that share a sketch.
pub const GROUP_TOKENS: usize = 8;

/// Random directions of a sketch.
pub const DIRECTIONS: usize = 8;

/// Third word of the Philox counter (`fpr1`): keeps these signs apart from a sampler's draws.
const DOMAIN: u32 = 0x6670_7231;

/// Signs that one Philox block yields.
const BLOCK_SIGNS: usize = 128;

/// The sketch of one group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sketch([bf16; DIRECTIONS]);

/// A text that is no sketch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SketchError {
    /// Not the hex of as many bytes as a sketch has.
    #[error("`{0}` is not {n} hex digits", n = 4 * DIRECTIONS)]
    Hex(String),
    /// A component is NaN or infinite.
    #[error("a sketch holds a number that is not finite")]
    NotFinite,
}

impl Sketch {
    /// Bytes of a sketch.
    pub const BYTES: usize = 2 * DIRECTIONS;

    /// Its components, little-endian bf16.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (bytes, s) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *bytes = s.to_le_bytes();
        }
        bytes
    }

    /// `‖claimed − self‖ / ‖self‖`: about the relative distance of the hidden states. Equal sketches
    /// are at exactly 0.
    pub fn distance(&self, claimed: &Self) -> f64 {
        let numbers = |s: &Self| s.0.map(f64::from);
        let (own, other) = (numbers(self), numbers(claimed));
        let apart: f64 = own.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum();
        let size: f64 = own.iter().map(|a| a.powi(2)).sum();
        if apart == 0.0 { 0.0 } else { (apart / size.max(f64::MIN_POSITIVE)).sqrt() }
    }
}

impl TryFrom<String> for Sketch {
    type Error = SketchError;

    fn try_from(text: String) -> Result<Self, SketchError> {
        let mut bytes = [0; Self::BYTES];
        if hex::decode_to_slice(&text, &mut bytes).is_err() {
            return Err(SketchError::Hex(text));
        }
        let mut sketch = [bf16::ZERO; DIRECTIONS];
        for (s, bytes) in sketch.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *s = bf16::from_le_bytes(*bytes);
        }
        if sketch.iter().all(|s| s.is_finite()) {
            Ok(Self(sketch))
        } else {
            Err(SketchError::NotFinite)
        }
    }
}

impl From<Sketch> for String {
    fn from(sketch: Sketch) -> Self {
        hex::encode(sketch.bytes())
    }
}

/// Builds the sketches of a completion, a hidden state at a time.
#[derive(Debug)]
pub(crate) struct Sketcher {
    key: [u32; 2],
    tokens: usize,
    sums: [f64; DIRECTIONS],
    done: Vec<Sketch>,
}

impl Sketcher {
    /// Directions are fixed by the sampling seed.
    pub(crate) fn new(seed: u64) -> Self {
        let key = crate::sample::halves(seed);
        Self { key, tokens: 0, sums: [0.0; DIRECTIONS], done: Vec::new() }
    }

    /// Adds the hidden state that draws the next token.
    pub(crate) fn push(&mut self, hidden: &[f32]) {
        let position = u32::try_from(self.tokens).unwrap_or(u32::MAX);
        for (direction, sum) in (0..).zip(&mut self.sums) {
            for (block, values) in (0..).zip(hidden.chunks(BLOCK_SIGNS)) {
                let words = philox([block, position, DOMAIN, direction], self.key);
                for (values, word) in values.chunks(32).zip(words) {
                    for (bit, &value) in values.iter().enumerate() {
                        let value = f64::from(value);
                        *sum += if word >> bit & 1 == 1 { value } else { -value };
                    }
                }
            }
        }
        self.tokens += 1;
        if self.tokens.is_multiple_of(GROUP_TOKENS) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.done.push(Sketch(std::mem::take(&mut self.sums).map(bf16::from_f64)));
    }

    /// The sketches; the last may cover fewer tokens.
    pub(crate) fn finish(&mut self) -> Vec<Sketch> {
        if !self.tokens.is_multiple_of(GROUP_TOKENS) {
            self.close();
        }
        std::mem::take(&mut self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketches(seed: u64, tokens: usize, shift: f32) -> Vec<Sketch> {
        let mut sketcher = Sketcher::new(seed);
        for t in 0..tokens {
            #[expect(clippy::cast_precision_loss, reason = "small integers")]
            let hidden: Vec<f32> =
                (0..300).map(|d| ((t * 31 + d * 17) % 23) as f32 - 11.0).collect();
            let moved: Vec<f32> = (0..)
                .zip(&hidden)
                .map(|(d, h)| if d % 2 == 0 { h + shift } else { h - shift })
                .collect();
            sketcher.push(&moved);
        }
        sketcher.finish()
    }

    #[test]
    fn equal_states_give_equal_sketches_and_a_short_last_group_counts() {
        let (a, b) = (sketches(1, 20, 0.0), sketches(1, 20, 0.0));
        assert_eq!((a.len(), &a), (3, &b));
        assert!(a[0].distance(&b[0]).to_bits() == 0);
        assert_ne!(a, sketches(2, 20, 0.0));
    }

    #[test]
    fn the_distance_of_sketches_estimates_the_distance_of_states() {
        let exact = sketches(7, 800, 0.0);
        let moved = sketches(7, 800, 0.5);
        let mean: f64 = exact.iter().zip(&moved).map(|(a, b)| a.distance(b).powi(2)).sum::<f64>()
            / f64::from(u32::try_from(exact.len()).unwrap());
        // A shift of 0.5 on states of root mean square √44.
        let want = 0.25 / 44.0;
        assert!((mean / want - 1.0).abs() < 0.5, "{mean} against {want}");
    }

    #[test]
    fn a_sketch_reads_back_and_refuses_what_is_none() {
        let sketch = sketches(3, 8, 0.0)[0];
        let text = serde_json::to_string(&sketch).unwrap();
        assert_eq!(serde_json::from_str::<Sketch>(&text).unwrap(), sketch);
        let infinite = format!("\"{}\"", "807f".repeat(DIRECTIONS));
        for bad in ["\"\"", "\"zz\"", &infinite] {
            assert!(serde_json::from_str::<Sketch>(bad).is_err(), "{bad}");
        }
    }
}
