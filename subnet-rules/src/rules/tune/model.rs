//! The models of `tune`: tables of logits by the three bytes before, in a safetensors file.
//!
//! One tensor, `logits`, `I16` of shape \[[`CONTEXTS`], [`SYMBOLS`]\], thousandths of a nat. A loss is the
//! validator's own normalisation of those logits, in integers: a table that claims more than all
//! probability gains nothing by it, and all validators come to the same number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Exam, LOSS_MAX};
use crate::digest::Digest;

/// Hashes of the three bytes before: more than the text of a season fills, so that who has seen more text
/// is better to the end.
pub const CONTEXTS: usize = 2048;
/// Bytes told apart: ASCII folded to its lower six bits from the space on.
pub const SYMBOLS: usize = 64;
/// Name of the tensor.
const LOGITS: &str = "logits";
/// The last three bytes of a word.
const THREE_BYTES: u64 = 0xff_ffff;
/// Models kept ready: a crown and its challengers are asked for again in each round.
const KEPT: usize = 64;

/// A model ready to be run.
#[derive(Debug)]
pub struct Model {
    /// Of its file's bytes.
    pub digest: Digest,
    /// Loss of each symbol in each context, micronats.
    losses: Vec<u32>,
}

/// Writes a table as a file.
pub fn write(logits: &[i16]) -> Vec<u8> {
    let bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::I16, vec![logits.len() / SYMBOLS, SYMBOLS], &bytes);
    let tensors = view.map(|view| HashMap::from([(LOGITS, view)]));
    // What cannot be written is a table that is none; no validator will load it.
    tensors.ok().and_then(|tensors| safetensors::serialize(tensors, None).ok()).unwrap_or_default()
}

/// Reads a file's table; `None` where it is none: pickles and archives are no safetensors.
pub fn read(bytes: &[u8]) -> Option<Vec<i16>> {
    let file = SafeTensors::deserialize(bytes).ok()?;
    let tensor = file.tensor(LOGITS).ok()?;
    let fits = tensor.dtype() == Dtype::I16 && tensor.shape() == [CONTEXTS, SYMBOLS];
    let (words, _) = tensor.data().as_chunks::<2>();
    fits.then(|| words.iter().map(|word| i16::from_le_bytes(*word)).collect())
}

/// A file's bytes, and the model in them if there is one.
type Shelved = (Arc<[u8]>, Option<Arc<Model>>);

/// Models kept ready, and the documents of the latest exam.
#[derive(Debug, Default)]
pub struct Shelf {
    /// By the very bytes that they came from.
    models: Mutex<VecDeque<Shelved>>,
    exam: Mutex<Option<(Exam, Documents)>>,
}

/// Where each batch of an exam is looked up.
type Documents = Arc<Vec<Vec<usize>>>;

impl Shelf {
    /// The model of a file; `None` where it does not load.
    pub fn model(&self, bytes: &Arc<[u8]>) -> Option<Arc<Model>> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, model)) = models.iter().find(|(known, _)| Arc::ptr_eq(known, bytes)) {
            return model.clone();
        }
        let model = read(bytes).map(|logits| {
            Arc::new(Model { digest: Digest::plain(bytes), losses: normalised(&logits) })
        });
        if models.len() == KEPT {
            models.pop_front();
        }
        models.push_back((Arc::clone(bytes), model.clone()));
        model
    }

    /// Mean loss of each batch, micronats per byte.
    pub fn losses(&self, model: &Model, exam: &Exam) -> Vec<u32> {
        let documents = self.documents(exam);
        documents.iter().map(|cells| mean_loss(&model.losses, cells)).collect()
    }

    fn documents(&self, exam: &Exam) -> Documents {
        let mut latest = self.exam.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((known, documents))
                if known.seed == exam.seed && known.batches == exam.batches =>
            {
                Arc::clone(documents)
            }
            _ => {
                let batch =
                    |texts: &Vec<String>| texts.iter().flat_map(|text| cells(text)).collect();
                let documents = Arc::new(exam.batches().iter().map(batch).collect());
                *latest = Some((exam.clone(), Arc::clone(&documents)));
                documents
            }
        }
    }
}

/// Where in a table each byte of a text is looked up.
pub fn cells(text: &str) -> impl Iterator<Item = usize> + '_ {
    let symbol = |byte: u8| usize::from(byte.wrapping_sub(b' ')) % SYMBOLS;
    let mut before = 0_u64;
    text.bytes().map(move |byte| {
        let context = usize::try_from(mix(before) % CONTEXTS as u64).unwrap_or(0);
        before = (before << 8 | u64::from(byte)) & THREE_BYTES;
        context * SYMBOLS + symbol(byte)
    })
}

/// The finaliser of `SplitMix64`: a fast, well mixed hash of a word.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// −ln softmax of each context's logits, micronats.
fn normalised(logits: &[i16]) -> Vec<u32> {
    let mut losses = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(SYMBOLS) {
        let most = row.iter().copied().max().unwrap_or(0);
        let below = |logit: &i16| f64::from(i32::from(most) - i32::from(*logit)) / 1000.0;
        let total: f64 = row.iter().map(|logit| libm::exp(-below(logit))).sum();
        let log_total = libm::log(total);
        losses.extend(row.iter().map(|logit| micronats(below(logit) + log_total)));
    }
    losses
}

fn micronats(nats: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what a loss may be"
    )]
    let rounded = libm::rint(nats * 1e6).clamp(1.0, f64::from(LOSS_MAX)) as u32;
    rounded
}

fn mean_loss(losses: &[u32], cells: &[usize]) -> u32 {
    let sum: u64 = cells.iter().map(|cell| u64::from(losses[*cell])).sum();
    let mean = sum / cells.len().max(1) as u64;
    u32::try_from(mean).unwrap_or(LOSS_MAX).clamp(1, LOSS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_its_file_and_anything_else_is_none() {
        let logits: Vec<i16> = (0..91).cycle().take(CONTEXTS * SYMBOLS).collect();
        let file = write(&logits);
        assert_eq!(read(&file), Some(logits));
        assert_eq!(read(&file[..file.len() - 1]), None);
        assert_eq!(read(&write(&[7; SYMBOLS])), None, "another shape");
        assert_eq!(read(b"\x80\x04\x95 a pickle"), None);
        let mut endless = file;
        endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(read(&endless), None);
    }
}
