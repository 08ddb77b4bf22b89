//! What the two sides of `forge` say to each other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::work::DEPTH_MAX;
use crate::digest::Digest;

/// The work asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What every matrix is drawn from; nobody else has this key.
    pub key: Digest,
    /// Rows and columns.
    pub size: usize,
    /// Products in the chain.
    pub depth: usize,
}

/// The first answer: a root for each product, from the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roots {
    /// One for each product.
    pub roots: Vec<Digest>,
}

/// The second question: the steps to open, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// In the order of the openings.
    pub steps: Vec<usize>,
}

/// The second answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Openings {
    /// One for each step asked for.
    pub steps: Vec<Opening>,
}

/// A step as the miner opens it: products as base64 of little-endian `i32`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    before: String,
    product: String,
}

/// The products of an opened step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Products {
    /// The product before it; empty for the first.
    pub before: Vec<i32>,
    /// Its product.
    pub product: Vec<i32>,
}

impl Opening {
    /// Writes a step.
    pub fn of(products: &Products) -> Self {
        Self { before: write(&products.before), product: write(&products.product) }
    }

    /// Reads a step; `None` where it is none.
    pub fn products(&self) -> Option<Products> {
        Some(Products { before: read(&self.before)?, product: read(&self.product)? })
    }
}

fn write(entries: &[i32]) -> String {
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    BASE64.encode(bytes)
}

fn read(text: &str) -> Option<Vec<i32>> {
    let bytes = BASE64.decode(text).ok()?;
    let (entries, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| entries.iter().map(|entry| i32::from_le_bytes(*entry)).collect())
}

impl Task {
    /// Whether a miner should take such work on: what no rule may ask for is refused.
    pub fn is_sound(&self) -> bool {
        (8..=1024).contains(&self.size) && (1..=DEPTH_MAX).contains(&self.depth)
    }
}
