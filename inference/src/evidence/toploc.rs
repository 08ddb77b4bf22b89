//! TOPLOC fingerprints: the largest numbers of a chunk's hidden states, as a polynomial through them.
//!
//! Over a chunk of [`CHUNK_TOKENS`] generated tokens the hidden states after the last norm, rounded to
//! bf16, are laid end to end. The [`LARGEST`] numbers of the largest size give points
//!
//! ```text
//! (index mod m, bits of the bf16)       m: the largest modulus ≤ p that keeps the indices apart
//! ```
//!
//! and what is sent is the polynomial through them over the integers modulo `p = 65497`: `m` and the
//! coefficients, lowest first, as big-endian 16-bit words. Who computes the same states evaluates it at
//! the indices of *their* largest numbers and compares (Ong et al., *TOPLOC: A Locality Sensitive
//! Hashing Scheme for Trustless Verifiable Inference*, 2025). How far apart honest numbers lie is
//! measured like any other distance here; the thresholds published with the scheme are not used: they
//! accept 8-bit weights and altered prompts.

use half::bf16;
use serde::{Deserialize, Serialize};

/// Generated tokens that share a polynomial.
pub const CHUNK_TOKENS: usize = 32;

/// Numbers that a polynomial goes through; fewer where a chunk has fewer.
pub const LARGEST: usize = 128;

/// The largest prime that the scheme's 16-bit words leave room for.
const PRIME: u64 = 65_497;

/// Values of a mantissa: two mantissas are less than this apart.
const MANTISSAS: f64 = 128.0;

/// The largest numbers of a chunk, with their places in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top(Vec<(u32, u16)>);

impl Top {
    /// Of `states` end to end. Of equal sizes the first counts.
    fn of(states: &[bf16]) -> Self {
        let size = |index: u32| states[index as usize].to_bits() & 0x7fff;
        let mut indices: Vec<u32> = (0..u32::try_from(states.len()).unwrap_or(u32::MAX)).collect();
        let order = |a: &u32, b: &u32| size(*b).cmp(&size(*a)).then(a.cmp(b));
        if indices.len() > LARGEST {
            indices.select_nth_unstable_by(LARGEST - 1, order);
            indices.truncate(LARGEST);
        }
        indices.sort_unstable();
        Self(indices.into_iter().map(|i| (i, states[i as usize].to_bits())).collect())
    }

    /// The polynomial through them.
    pub fn polynomial(&self) -> Polynomial {
        let apart = |modulus: u64| {
            let mut places: Vec<u64> =
                self.0.iter().map(|&(i, _)| u64::from(i) % modulus).collect();
            places.sort_unstable();
            places.windows(2).all(|pair| pair[0] != pair[1])
        };
        // 128 indices collide for one modulus in eight: one of the first few does it.
        let modulus = (1..=PRIME).rev().find(|&modulus| apart(modulus)).unwrap_or(PRIME);
        let points = self.0.iter().map(|&(i, bits)| (u64::from(i) % modulus, u64::from(bits)));
        let (places, values): (Vec<u64>, Vec<u64>) = points.unzip();
        let words = interpolated(&places, values);
        Polynomial { modulus: word(modulus), coefficients: words.into_iter().map(word).collect() }
    }

    /// How far the numbers that `claimed` gives for these places lie from these: the mean over the places
    /// of 1 where sign or exponent differ, and of the mantissas' distance over 128 elsewhere. Equal states
    /// are at exactly 0, and a polynomial of another length, as of states of another shape, at 1.
    #[expect(clippy::cast_precision_loss, reason = "at most 128 numbers")]
    pub fn distance(&self, claimed: &Polynomial) -> f64 {
        if claimed.coefficients.len() != self.0.len() {
            return 1.0;
        }
        let apart = |&(index, own): &(u32, u16)| {
            let other = claimed.at(u64::from(index));
            if own >> 7 == other >> 7 {
                f64::from((own & 0x7f).abs_diff(other & 0x7f)) / MANTISSAS
            } else {
                1.0
            }
        };
        self.0.iter().map(apart).sum::<f64>() / self.0.len().max(1) as f64
    }
}

/// A polynomial over the integers modulo 65497.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Polynomial {
    /// 1..=65497.
    modulus: u16,
    /// Lowest first, each below 65497; at most [`LARGEST`].
    coefficients: Vec<u16>,
}

/// A text that is no polynomial of the scheme.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolynomialError {
    /// Not hex of a modulus and 1 to [`LARGEST`] coefficients.
    #[error("a polynomial is not 8 to {n} hex digits, four to a word", n = 4 * (LARGEST + 1))]
    Hex,
    /// Nothing is left by a division by it.
    #[error("the modulus {0} is not within 1..=65497")]
    Modulus(u16),
    /// Not reduced.
    #[error("the coefficient {0} is not below 65497")]
    Coefficient(u16),
}

impl Polynomial {
    /// Its words, big-endian: the modulus, then the coefficients.
    pub fn bytes(&self) -> Vec<u8> {
        let words = std::iter::once(&self.modulus).chain(&self.coefficients);
        words.flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Its value at `index`, by Horner's rule.
    fn at(&self, index: u64) -> u16 {
        let x = index % u64::from(self.modulus);
        let horner = |sum: u64, &c: &u16| (sum * x + u64::from(c)) % PRIME;
        word(self.coefficients.iter().rev().fold(0, horner))
    }
}

impl TryFrom<String> for Polynomial {
    type Error = PolynomialError;

    fn try_from(text: String) -> Result<Self, PolynomialError> {
        // Before anything is allocated for it.
        let longest = 4 * (LARGEST + 1);
        let bytes = if text.len() <= longest { hex::decode(&text).ok() } else { None };
        let bytes = bytes.ok_or(PolynomialError::Hex)?;
        let (words, rest) = bytes.as_chunks::<2>();
        let mut words = words.iter().map(|word| u16::from_be_bytes(*word));
        let Some(modulus) = words.next().filter(|_| rest.is_empty()) else {
            return Err(PolynomialError::Hex);
        };
        let coefficients: Vec<u16> = words.collect();
        if coefficients.is_empty() {
            return Err(PolynomialError::Hex);
        }
        if modulus == 0 || u64::from(modulus) > PRIME {
            return Err(PolynomialError::Modulus(modulus));
        }
        if let Some(&bad) = coefficients.iter().find(|&&c| u64::from(c) >= PRIME) {
            return Err(PolynomialError::Coefficient(bad));
        }
        Ok(Self { modulus, coefficients })
    }
}

impl From<Polynomial> for String {
    fn from(polynomial: Polynomial) -> Self {
        hex::encode(polynomial.bytes())
    }
}

/// A number below 2¹⁶, as all that is reduced modulo [`PRIME`].
#[expect(clippy::cast_possible_truncation, reason = "reduced modulo 65497")]
const fn word(number: u64) -> u16 {
    number as u16
}

/// Newton's divided differences at `places`, all different, then the powers of x.
fn interpolated(places: &[u64], mut values: Vec<u64>) -> Vec<u64> {
    let count = places.len();
    let minus = |a: u64, b: u64| (a + PRIME - b % PRIME) % PRIME;
    for order in 1..count {
        for i in (order..count).rev() {
            let rise = minus(values[i] % PRIME, values[i - 1]);
            values[i] = rise * inverse(minus(places[i], places[i - order])) % PRIME;
        }
    }
    // Σ values[i]·Π_{j<i} (x − places[j]), from the innermost bracket outwards.
    let mut coefficients = vec![0; count];
    for (&place, &value) in places.iter().zip(&values).rev() {
        for power in (1..count).rev() {
            let lower = coefficients[power - 1];
            coefficients[power] = (lower + coefficients[power] * minus(0, place)) % PRIME;
        }
        if let Some(constant) = coefficients.first_mut() {
            *constant = (*constant * minus(0, place) + value) % PRIME;
        }
    }
    coefficients
}

/// `a⁻¹ = a^(p−2)` modulo the prime.
fn inverse(a: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, a % PRIME, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % PRIME;
        }
        base = base * base % PRIME;
        exponent >>= 1;
    }
    result
}

/// Finds the largest numbers of a completion, a hidden state at a time.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    tokens: usize,
    states: Vec<bf16>,
    done: Vec<Top>,
}

impl Collector {
    /// Adds the hidden state that draws the next token.
    pub(crate) fn push(&mut self, hidden: &[f32]) {
        self.states.extend(hidden.iter().map(|&x| bf16::from_f32(x)));
        self.tokens += 1;
        if self.tokens.is_multiple_of(CHUNK_TOKENS) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.done.push(Top::of(&self.states));
        self.states.clear();
    }

    /// One for each chunk; the last may cover fewer tokens.
    pub(crate) fn finish(&mut self) -> Vec<Top> {
        if !self.tokens.is_multiple_of(CHUNK_TOKENS) {
            self.close();
        }
        std::mem::take(&mut self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::philox;

    /// States of `tokens` tokens of `width` numbers around nought, each off by a part in `noise`.
    fn tops(width: u32, tokens: u32, noise: Option<f32>) -> Vec<Top> {
        let mut collector = Collector::default();
        for token in 0..tokens {
            let number = |d: u32| {
                let [a, b, c, _] = philox([token, d, 0, 0], [3, 5]);
                let unit = |word: u32| {
                    #[expect(clippy::cast_possible_truncation, reason = "an example")]
                    let unit = (f64::from(word) / f64::from(u32::MAX) - 0.5) as f32;
                    unit
                };
                let x = unit(a) / (unit(b).abs() + 0.05);
                x + noise.map_or(0.0, |noise| x * unit(c) / noise)
            };
            collector.push(&(0..width).map(number).collect::<Vec<f32>>());
        }
        collector.finish()
    }

    #[test]
    fn the_polynomial_goes_through_the_largest_numbers() {
        // Of the last, indices go beyond the prime; of the first, there are fewer numbers than points.
        for (width, tokens, points) in
            [(50, 2, 100), (64, 32, 128), (576, 32, 128), (4096, 32, 128)]
        {
            let top = tops(width, tokens, None).remove(0);
            let polynomial = top.polynomial();
            assert_eq!(polynomial.bytes().len(), 2 * (points + 1));
            for (index, bits) in &top.0 {
                assert_eq!(polynomial.at(u64::from(*index)), *bits);
            }
            assert!(top.distance(&polynomial).to_bits() == 0);
        }
    }

    #[test]
    fn close_states_are_close_and_others_are_not() {
        let own = tops(576, 64, None);
        let off = |noise: Option<f32>| {
            let others = tops(576, 64, noise);
            own.iter()
                .zip(&others)
                .map(|(own, other)| own.distance(&other.polynomial()))
                .sum::<f64>()
        };
        let (near, far) = (off(Some(1000.0)), off(Some(8.0)));
        assert!(near > 0.0 && 5.0 * near < far && far < 2.0, "{near} {far}");
        let strangers = own[0].distance(&own[1].polynomial());
        assert!(strangers > 0.9, "{strangers}");
    }

    #[test]
    fn a_short_last_chunk_counts_and_another_shape_is_as_far_as_can_be() {
        let (long, short) = (tops(10, 33, None), tops(10, 3, None));
        assert_eq!((long.len(), long[1].0.len(), short[0].0.len()), (2, 10, 30));
        assert!((long[1].distance(&short[0].polynomial()) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn hostile_texts_are_refused_and_honest_ones_read_back() {
        let polynomial = tops(64, 32, None).remove(0).polynomial();
        let text = serde_json::to_string(&polynomial).unwrap();
        assert_eq!(serde_json::from_str::<Polynomial>(&text).unwrap(), polynomial);
        let too_long = "0001".repeat(LARGEST + 2);
        for bad in ["", "zz", "0001", "000100", "00000001", "ffff0001", "0001ffdd", &too_long] {
            assert!(Polynomial::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
