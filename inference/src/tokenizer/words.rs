//! Tokenizers from what a GGUF file says of its words.

use tokenizers::{
    AddedToken,
    models::bpe::{BPE, Vocab},
    pre_tokenizers::byte_level::ByteLevel,
};

use super::{
    Inner, Settings, Tokenizer, TokenizerError,
    pieces::{Description, Method, Pieces, kind},
    pre::Pre,
};
use crate::config::Config;

/// What a GGUF file says about its words.
#[derive(Debug, Default)]
pub(crate) struct GgufWords {
    pub(crate) model: String,
    pub(crate) pre: Option<String>,
    pub(crate) tokens: Vec<String>,
    /// `None` where the file has none.
    pub(crate) merges: Option<Vec<String>>,
    pub(crate) scores: Vec<f32>,
    pub(crate) kinds: Vec<i64>,
    /// Chat templates by name; the plain one is `default`.
    pub(crate) templates: Vec<(String, String)>,
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) unknown: Option<u32>,
    pub(crate) padding: Option<u32>,
    /// End of turn and end of message.
    pub(crate) ends: Vec<u32>,
    pub(crate) add_bos: Option<bool>,
    pub(crate) add_eos: Option<bool>,
    pub(crate) space_prefix: Option<bool>,
    pub(crate) squeezes_blanks: bool,
    /// The file brings a table of normalised letters.
    pub(crate) normalises: bool,
    /// `general.name`.
    pub(crate) name: String,
}

/// Words that end a completion wherever a vocabulary has them, whatever their type: llama.cpp's list.
const ENDS: [&str; 18] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
];

impl GgufWords {
    fn id(&self, token: &str) -> Option<u32> {
        let place = self.tokens.iter().position(|word| word == token)?;
        u32::try_from(place).ok()
    }

    fn word(&self, id: Option<u32>) -> String {
        id.and_then(|id| self.tokens.get(id as usize)).cloned().unwrap_or_default()
    }

    /// Words that end a completion are words of control, though the file say otherwise.
    fn settle_ends(&mut self) {
        let mut ends: Vec<u32> = ENDS.iter().filter_map(|end| self.id(end)).collect();
        let has = |word: &str| self.id(word).is_some();
        // Harmony's turns go on after `<|end|>`.
        if has("<|return|>")
            && has("<|call|>")
            && let Some(end) = self.id("<|end|>")
        {
            ends.retain(|&id| id != end);
        }
        for &id in &ends {
            if let Some(kind) = self.kinds.get_mut(id as usize) {
                *kind = kind::CONTROL;
            }
        }
        self.ends.extend(ends);
        self.ends.extend(self.eos);
    }

    /// BOS and EOS that surround every text.
    fn surround(&self, bos: bool, eos: bool) -> Result<(Option<u32>, Option<u32>), TokenizerError> {
        let wanted = |add: Option<bool>, default: bool, id: Option<u32>, name: &'static str| match (
            add.unwrap_or(default),
            id,
        ) {
            (false, _) => Ok(None),
            (true, Some(id)) => Ok(Some(id)),
            (true, None) => Err(TokenizerError::NoSuchWord { name }),
        };
        Ok((
            wanted(self.add_bos, bos, self.bos, "bos_token_id")?,
            wanted(self.add_eos, eos, self.eos, "eos_token_id")?,
        ))
    }
}

impl Tokenizer {
    /// Builds the tokenizer that a GGUF file describes.
    pub(crate) fn from_gguf(mut words: GgufWords, config: &Config) -> Result<Self, TokenizerError> {
        let merges = words.model == "llama";
        if merges || words.model == "t5" {
            // Ids of vocabularies that name none, as SentencePiece lays them out.
            let defaults = if merges { (Some(1), 2, 0) } else { (None, 1, 2) };
            words.bos = words.bos.or(defaults.0);
            words.eos = words.eos.or(Some(defaults.1));
            words.unknown = words.unknown.or(Some(defaults.2));
        }
        words.settle_ends();
        let (inner, (bos, eos)) = match words.model.as_str() {
            "gpt2" => {
                let pre = Pre::named(words.pre.as_deref().unwrap_or_default())?;
                if words.pre.as_deref().unwrap_or_default().is_empty() {
                    tracing::warn!(
                        "the file names no `tokenizer.ggml.pre`: words are cut as llama.cpp cuts \
                         them then, which may not be how the model learned them"
                    );
                }
                let surround = words.surround(pre.adds_bos, false)?;
                (Inner::Library(Box::new(byte_level(&mut words, pre)?)), surround)
            }
            "llama" => (pieces(&mut words, Method::Merges)?, words.surround(true, false)?),
            "t5" => (pieces(&mut words, Method::Likeliest)?, words.surround(false, true)?),
            other => return Err(TokenizerError::Model { model: other.to_owned() }),
        };
        let special = [
            ("bos_token", words.bos),
            ("eos_token", words.eos),
            ("unk_token", words.unknown),
            ("pad_token", words.padding),
        ];
        let special = special.map(|(name, id)| (name.to_owned(), words.word(id)));
        let settings = Settings {
            bos,
            eos,
            chat_bos: bos,
            special: special.to_vec(),
            templates: words.templates,
            ends: words.ends,
        };
        Self::finish(inner, settings, config)
    }
}

fn pieces(words: &mut GgufWords, method: Method) -> Result<Inner, TokenizerError> {
    if words.normalises {
        return Err(TokenizerError::Normaliser);
    }
    let name = words.name.to_lowercase();
    let said = Description {
        method,
        tokens: words.tokens.clone(),
        scores: std::mem::take(&mut words.scores),
        kinds: std::mem::take(&mut words.kinds),
        unknown: words.unknown,
        space_prefix: words.space_prefix.unwrap_or(method == Method::Merges),
        squeezes_blanks: words.squeezes_blanks,
        strips_right: name.contains("phi-3") || name.contains("phi3"),
    };
    Ok(Inner::Pieces(Box::new(Pieces::new(said)?)))
}

fn byte_level(words: &mut GgufWords, pre: Pre) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let vocab: Vocab = (0..).zip(&words.tokens).map(|(id, word)| (word.clone(), id)).collect();
    if vocab.len() != words.tokens.len() {
        return Err(TokenizerError::Twice);
    }
    let merges = words.merges.take().ok_or(TokenizerError::NoMerges)?;
    let merges = merges
        .into_iter()
        .map(|merge| match merge.split_once(' ') {
            Some((a, b)) => Ok((a.to_owned(), b.to_owned())),
            None => Err(TokenizerError::Merge(merge)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(pre.ignores_merges)
        .build()
        .map_err(TokenizerError::Inner)?;
    let mut inner = tokenizers::Tokenizer::new(bpe);
    inner.with_pre_tokenizer(Some(pre.build()?));
    inner.with_decoder(Some(ByteLevel::new(false, true, true)));
    let of_kind = |kinds: &[i64], special: bool| -> Vec<AddedToken> {
        let chosen = words.tokens.iter().zip(&words.kinds).filter(|(_, kind)| kinds.contains(kind));
        let token = |word: &String| AddedToken::from(word.clone(), special).normalized(false);
        chosen.map(|(word, _)| token(word)).collect()
    };
    // Words of the user's are cut out of a text as those of control are, and stay to be read.
    inner
        .add_special_tokens(of_kind(&[kind::UNKNOWN, kind::CONTROL], true))
        .map_err(TokenizerError::Inner)?;
    inner.add_tokens(of_kind(&[kind::USER_DEFINED], false)).map_err(TokenizerError::Inner)?;
    Ok(inner)
}
