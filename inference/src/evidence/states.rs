//! What a pass shows of its hidden states, what a server sends of it, and how far the two lie apart.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{
    fingerprint::{GROUP_TOKENS, Sketch, Sketcher},
    toploc::{CHUNK_TOKENS, Collector, LARGEST, Polynomial, Top},
};

/// How hidden states are fingerprinted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[non_exhaustive]
pub enum Scheme {
    /// Random projections, for each 8 tokens.
    #[default]
    #[serde(rename = "rademacher-8x8-bf16", alias = "sketches")]
    Sketches,
    /// The largest numbers, for each 32 tokens: twice the bytes.
    #[serde(rename = "toploc-128x32-bf16", alias = "toploc")]
    Toploc,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 2] = [Self::Sketches, Self::Toploc];

    /// Its name and version, as answers give it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sketches => "rademacher-8x8-bf16",
            Self::Toploc => "toploc-128x32-bf16",
        }
    }

    /// Generated tokens that share a fingerprint.
    pub const fn tokens(self) -> usize {
        match self {
            Self::Sketches => GROUP_TOKENS,
            Self::Toploc => CHUNK_TOKENS,
        }
    }

    /// Bytes of one, at most.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sketches => Sketch::BYTES,
            Self::Toploc => 2 * (LARGEST + 1),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Its name on the command line.
impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sketches => "sketches",
            Self::Toploc => "toploc",
        })
    }
}

/// What a pass shows of the hidden states that draw a completion.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum States {
    /// For each [`GROUP_TOKENS`] tokens.
    Sketches(Vec<Sketch>),
    /// For each [`CHUNK_TOKENS`] tokens.
    Tops(Vec<Top>),
}

impl States {
    /// How they were looked at.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Sketches(_) => Scheme::Sketches,
            Self::Tops(_) => Scheme::Toploc,
        }
    }

    /// What a server sends of them.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Sketches(sketches) => Fingerprint::Sketches { sketches: sketches.clone() },
            Self::Tops(tops) => {
                Fingerprint::Toploc { proofs: tops.iter().map(Top::polynomial).collect() }
            }
        }
    }
}

/// What a server sends of its hidden states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scheme", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fingerprint {
    /// Random projections.
    #[serde(rename = "rademacher-8x8-bf16")]
    Sketches {
        /// One for each [`GROUP_TOKENS`] generated tokens.
        sketches: Vec<Sketch>,
    },
    /// The largest numbers.
    #[serde(rename = "toploc-128x32-bf16")]
    Toploc {
        /// One for each [`CHUNK_TOKENS`] generated tokens.
        proofs: Vec<Polynomial>,
    },
}

impl Fingerprint {
    /// How it was made.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Sketches { .. } => Scheme::Sketches,
            Self::Toploc { .. } => Scheme::Toploc,
        }
    }

    /// One for each [`Scheme::tokens`] tokens.
    pub const fn len(&self) -> usize {
        match self {
            Self::Sketches { sketches } => sketches.len(),
            Self::Toploc { proofs } => proofs.len(),
        }
    }

    /// Whether it was left out.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of each.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Sketches { sketches } => sketches.iter().map(|s| s.bytes().to_vec()).collect(),
            Self::Toploc { proofs } => proofs.iter().map(Polynomial::bytes).collect(),
        }
    }

    /// How far each lies from the verifier's `own`; none where they were looked at in another way.
    pub fn distances(&self, own: &States) -> Vec<f64> {
        match (own, self) {
            (States::Sketches(own), Self::Sketches { sketches }) => {
                own.iter().zip(sketches).map(|(own, claimed)| own.distance(claimed)).collect()
            }
            (States::Tops(own), Self::Toploc { proofs }) => {
                own.iter().zip(proofs).map(|(own, claimed)| own.distance(claimed)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Looks at hidden states as they are computed.
#[derive(Debug)]
pub(crate) enum Observer {
    Sketches(Sketcher),
    Toploc(Collector),
}

impl Observer {
    /// `seed` is the sampling's.
    pub(crate) fn new(scheme: Scheme, seed: u64) -> Self {
        match scheme {
            Scheme::Sketches => Self::Sketches(Sketcher::new(seed)),
            Scheme::Toploc => Self::Toploc(Collector::default()),
        }
    }

    /// Adds the hidden state that draws the next token.
    pub(crate) fn push(&mut self, hidden: &[f32]) {
        match self {
            Self::Sketches(sketcher) => sketcher.push(hidden),
            Self::Toploc(collector) => collector.push(hidden),
        }
    }

    /// What was seen; the last fingerprint may cover fewer tokens.
    pub(crate) fn finish(&mut self) -> States {
        match self {
            Self::Sketches(sketcher) => States::Sketches(sketcher.finish()),
            Self::Toploc(collector) => States::Tops(collector.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_has_one_name_wherever_it_is_written_and_a_short_one_where_it_is_asked_for() {
        for scheme in Scheme::ALL {
            assert_eq!(Scheme::from_str(&scheme.to_string(), false), Ok(scheme));
            for name in [scheme.name(), &scheme.to_string()] {
                assert_eq!(serde_json::from_value::<Scheme>(name.into()).unwrap(), scheme);
            }
            let mut observer = Observer::new(scheme, 1);
            observer.push(&[1.0, -2.0]);
            let states = observer.finish();
            let json = serde_json::to_value(states.fingerprint()).unwrap();
            assert_eq!((&json["scheme"], states.scheme()), (&scheme.name().into(), scheme));
            assert_eq!(serde_json::to_value(scheme).unwrap(), scheme.name());
            let read: Fingerprint = serde_json::from_value(json).unwrap();
            assert_eq!((read.distances(&states), read.len()), (vec![0.0], 1));
        }
        assert!(serde_json::from_value::<Scheme>("sha256".into()).is_err());
    }
}
