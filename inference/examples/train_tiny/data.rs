//! Documents of the grammar world as batches of token ids.

use std::path::Path;

use anyhow::{Result, anyhow};
use candle_core::{Device, Tensor};
use subnet_rules::world::grammar::{Document, corpus};
use tokenizers::{
    AddedToken, Tokenizer,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
    },
    pre_tokenizers::byte_level::ByteLevel,
};

/// Words of the tokenizer: all bytes, the end, and the merges that the lexicon needs.
const WORDS: usize = 512;

/// Documents that the tokenizer is trained on.
const TOKENIZER_DOCUMENTS: usize = 20_000;

/// Batches drawn at once and sorted by length, so that little is padded.
const SORTED_BATCHES: usize = 16;

/// The word that ends a document.
const END: &str = "<|end|>";

/// Weight of a prompt token's loss against an answer token's: prompts teach the lexicon, but most
/// of what they hold cannot be known beforehand.
const PROMPT_WEIGHT: f32 = 0.1;

/// One step's documents, `[batch, time]`.
pub(crate) struct Batch {
    pub(crate) inputs: Tensor,
    pub(crate) targets: Tensor,
    /// Weight of each target's loss; 0 where padded.
    pub(crate) weights: Tensor,
}

/// A stream of batches.
pub(crate) struct Text {
    documents: Box<dyn Iterator<Item = Document>>,
    tokenizer: Tokenizer,
    ready: Vec<Vec<Tokens>>,
}

#[derive(Clone)]
struct Tokens {
    ids: Vec<u32>,
    prompt: usize,
}

impl Text {
    /// Trains the tokenizer and writes it to `dir`.
    pub(crate) fn new(seed: u64, dir: &Path) -> Result<Self> {
        let tokenizer = train_tokenizer(seed)?;
        tokenizer.save(dir.join("tokenizer.json"), false).map_err(|e| anyhow!(e))?;
        Ok(Self { documents: Box::new(corpus(seed)), tokenizer, ready: Vec::new() })
    }

    pub(crate) fn words(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    pub(crate) fn batch(&mut self, size: usize) -> Result<Batch> {
        if self.ready.is_empty() {
            self.refill(size)?;
        }
        let documents = self.ready.pop().unwrap_or_default();
        let time = documents.iter().map(|d| d.ids.len()).max().unwrap_or(1) - 1;
        let mut inputs = vec![0_u32; documents.len() * time];
        let mut targets = inputs.clone();
        let mut weights = vec![0_f32; inputs.len()];
        for (row, document) in documents.iter().enumerate() {
            for (column, pair) in document.ids.windows(2).enumerate() {
                let place = row * time + column;
                inputs[place] = pair[0];
                targets[place] = pair[1];
                weights[place] = if column + 1 < document.prompt { PROMPT_WEIGHT } else { 1.0 };
            }
        }
        let shape = (documents.len(), time);
        let device = &Device::Cpu;
        Ok(Batch {
            inputs: Tensor::from_vec(inputs, shape, device)?,
            targets: Tensor::from_vec(targets, shape, device)?,
            weights: Tensor::from_vec(weights, shape, device)?,
        })
    }

    fn refill(&mut self, size: usize) -> Result<()> {
        let mut documents = (0..size * SORTED_BATCHES)
            .filter_map(|_| self.documents.next())
            .map(|document| tokens(&self.tokenizer, &document))
            .collect::<Result<Vec<_>>>()?;
        documents.sort_by_key(|document| document.ids.len());
        self.ready = documents.chunks(size).map(<[Tokens]>::to_vec).collect();
        // Neighbours differ little in length; a fixed stride visits lengths in no order.
        let count = self.ready.len();
        self.ready = (0..count).map(|i| self.ready[i * 7 % count].clone()).collect();
        Ok(())
    }
}

fn tokens(tokenizer: &Tokenizer, document: &Document) -> Result<Tokens> {
    let encode = |text: &str| -> Result<Vec<u32>> {
        Ok(tokenizer.encode(text, false).map_err(|e| anyhow!(e))?.get_ids().to_vec())
    };
    let prompt = encode(&document.prompt)?.len();
    let ids = encode(&format!("{} {}{END}", document.prompt, document.answer))?;
    Ok(Tokens { ids, prompt })
}

fn train_tokenizer(seed: u64) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(BPE::default());
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(bytes));
    tokenizer.with_decoder(Some(bytes));
    let trainer = BpeTrainer::builder()
        .vocab_size(WORDS)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(END, true)])
        .build();
    let documents = corpus(seed).take(TOKENIZER_DOCUMENTS);
    let text = documents.map(|document| format!("{} {}", document.prompt, document.answer));
    let mut trainer: TrainerWrapper = trainer.into();
    tokenizer.train(&mut trainer, text).map_err(|e| anyhow!(e))?;
    Ok(tokenizer)
}
