//! Text to token ids and back, and the chat template.

use std::fmt;

use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};
use tokenizers::{
    AddedToken,
    models::bpe::{BPE, Vocab},
    pre_tokenizers::PreTokenizerWrapper,
    pre_tokenizers::byte_level::ByteLevel,
    pre_tokenizers::digits::Digits,
    pre_tokenizers::sequence::Sequence,
    pre_tokenizers::split::Split,
    pre_tokenizers::split::SplitPattern,
    tokenizer::SplitDelimiterBehavior,
};

use crate::config::Config;

mod spelling;
pub(crate) use spelling::Spelt;

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`; the template decides what it accepts.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A tokenizer, the ids that end a completion, and the chat template where the model has one.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: Option<u32>,
    eos: Vec<u32>,
    template: Option<Environment<'static>>,
    special: Specials,
}

/// Special tokens by name, as chat templates print them.
#[derive(Clone, Debug, Default, Serialize)]
struct Specials {
    bos_token: String,
    eos_token: String,
}

/// A tokenizer that cannot be built, or text that it cannot take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The `tokenizers` crate refuses the description or the text.
    #[error("the tokenizer refuses its input")]
    Inner(#[source] tokenizers::Error),
    /// A kind of GGUF tokenizer that we do not build.
    #[error("GGUF tokenizer `{model}` is not supported (supported: gpt2, byte-level BPE)")]
    Model {
        /// The file's `tokenizer.ggml.model`.
        model: String,
    },
    /// A merge that is not two words.
    #[error("merge `{0}` is not two words")]
    Merge(String),
    /// More words than the model has embeddings: another model's tokenizer.
    #[error("the tokenizer has {words} words and the model {vocab} embeddings")]
    Vocabulary {
        /// Words in the tokenizer.
        words: usize,
        /// Rows of the embedding.
        vocab: usize,
    },
    /// Settings are not JSON.
    #[error("tokenizer_config.json is malformed")]
    Settings(#[from] serde_json::Error),
    /// The chat template is not valid.
    #[error("the chat template is not valid")]
    Template(#[source] minijinja::Error),
    /// A way of turning tokens to text in which a token has no bytes of its own.
    #[error("tokens of a `{0}` decoder have no bytes of their own")]
    Words(String),
    /// A chat for a model without a template.
    #[error("this model has no chat template: send a text prompt")]
    NoTemplate,
}

/// What a GGUF file says about its words.
#[derive(Debug)]
pub(crate) struct GgufWords {
    pub(crate) model: String,
    pub(crate) pre: String,
    pub(crate) tokens: Vec<String>,
    pub(crate) merges: Vec<String>,
    pub(crate) kinds: Vec<i64>,
    pub(crate) chat_template: Option<String>,
    pub(crate) bos: Option<u32>,
    pub(crate) add_bos: bool,
}

/// `tokenizer_config.json`, as far as we read it.
#[derive(Default, Deserialize)]
struct Settings {
    chat_template: Option<Template>,
    bos_token: Option<Word>,
    eos_token: Option<Word>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Template {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Plain(String),
    Object { content: String },
}

impl Word {
    fn into_text(self) -> String {
        match self {
            Self::Plain(text) | Self::Object { content: text } => text,
        }
    }
}

/// A `tokenizer.json` of at most `vocab` words, that neither pads nor cuts.
pub(crate) fn plain(json: &[u8], vocab: usize) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(TokenizerError::Inner)?;
    inner.with_padding(None).with_truncation(None).map_err(TokenizerError::Inner)?;
    fits(&inner, vocab)?;
    Ok(inner)
}

fn fits(inner: &tokenizers::Tokenizer, vocab: usize) -> Result<(), TokenizerError> {
    let words = inner.get_vocab_size(true);
    if words > vocab { Err(TokenizerError::Vocabulary { words, vocab }) } else { Ok(()) }
}

impl Tokenizer {
    /// Builds from `tokenizer.json` and, where present, `tokenizer_config.json` and
    /// `chat_template.jinja`.
    pub(crate) fn from_json(
        json: &[u8],
        settings: Option<&[u8]>,
        template: Option<Vec<u8>>,
        config: &Config,
    ) -> Result<Self, TokenizerError> {
        let inner = plain(json, config.vocab)?;
        let settings: Settings = match settings {
            Some(json) => serde_json::from_slice(json)?,
            None => Settings::default(),
        };
        let template = template.and_then(|bytes| String::from_utf8(bytes).ok()).or_else(|| {
            match settings.chat_template? {
                Template::One(text) => Some(text),
                Template::Named(all) => {
                    all.into_iter().find(|t| t.name == "default").map(|t| t.template)
                }
            }
        });
        let special = Specials {
            bos_token: settings.bos_token.map(Word::into_text).unwrap_or_default(),
            eos_token: settings.eos_token.map(Word::into_text).unwrap_or_default(),
        };
        Self::finish(inner, None, template, special, config)
    }

    /// Builds byte-level BPE from the words in a GGUF file.
    pub(crate) fn from_gguf(words: GgufWords, config: &Config) -> Result<Self, TokenizerError> {
        let GgufWords { model, pre, tokens, merges, kinds, chat_template, bos, add_bos } = words;
        if model != "gpt2" {
            return Err(TokenizerError::Model { model });
        }
        let vocab: Vocab = (0..).zip(&tokens).map(|(id, word)| (word.clone(), id)).collect();
        let merges = merges
            .into_iter()
            .map(|merge| match merge.split_once(' ') {
                Some((a, b)) => Ok((a.to_owned(), b.to_owned())),
                None => Err(TokenizerError::Merge(merge)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .ignore_merges(pre.starts_with("llama"))
            .build()
            .map_err(TokenizerError::Inner)?;
        let mut inner = tokenizers::Tokenizer::new(bpe);
        inner.with_pre_tokenizer(Some(pre_tokenizer(&pre)?));
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        let specials: Vec<AddedToken> = tokens
            .iter()
            .zip(&kinds)
            .filter(|(_, kind)| SPECIAL_KINDS.contains(kind))
            .map(|(word, _)| AddedToken::from(word.clone(), true))
            .collect();
        inner.add_special_tokens(specials).map_err(TokenizerError::Inner)?;
        let word = |id: Option<u32>| id.and_then(|id| tokens.get(id as usize)).cloned();
        let special = Specials {
            bos_token: word(bos).unwrap_or_default(),
            eos_token: word(config.eos.first().copied()).unwrap_or_default(),
        };
        Self::finish(inner, bos.filter(|_| add_bos), chat_template, special, config)
    }

    fn finish(
        inner: tokenizers::Tokenizer,
        bos: Option<u32>,
        template: Option<String>,
        special: Specials,
        config: &Config,
    ) -> Result<Self, TokenizerError> {
        fits(&inner, config.vocab)?;
        let mut eos = config.eos.clone();
        // The chat's end of turn ends a completion too, where the configuration names another word.
        let turn_ends = [special.eos_token.as_str(), "<|im_end|>", "<|eot_id|>", "<|endoftext|>"];
        eos.extend(turn_ends.into_iter().filter_map(|word| inner.token_to_id(word)));
        eos.sort_unstable();
        eos.dedup();
        let template = template.map(environment).transpose()?;
        Ok(Self { inner, bos, eos, template, special })
    }

    /// Token ids of `text`, with whatever the model puts in front of every text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode_fast(text, true).map_err(TokenizerError::Inner)?;
        Ok(self.bos.into_iter().chain(encoding.get_ids().iter().copied()).collect())
    }

    /// Token ids of a chat, rendered by the model's own template, with the assistant's turn opened.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, TokenizerError> {
        let text = self.render(messages)?;
        let encoding =
            self.inner.encode_fast(text.as_str(), false).map_err(TokenizerError::Inner)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The chat as the model's template prints it.
    pub fn render(&self, messages: &[Message]) -> Result<String, TokenizerError> {
        let environment = self.template.as_ref().ok_or(TokenizerError::NoTemplate)?;
        environment
            .get_template(TEMPLATE)
            .and_then(|template| {
                template.render(context! {
                    messages,
                    add_generation_prompt => true,
                    bos_token => self.special.bos_token,
                    eos_token => self.special.eos_token,
                })
            })
            .map_err(TokenizerError::Template)
    }

    /// Text of `ids`, special tokens left out, invalid UTF-8 replaced.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(ids, true).map_err(TokenizerError::Inner)
    }

    /// True for the ids that end a completion.
    pub fn ends(&self, id: u32) -> bool {
        self.eos.contains(&id)
    }

    /// The bytes of each of the `vocab` ids.
    pub(crate) fn words(&self, vocab: usize) -> Result<Vec<Spelt>, TokenizerError> {
        spelling::all(&self.inner, vocab)
    }

    /// True where the model came with a chat template.
    pub const fn has_template(&self) -> bool {
        self.template.is_some()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("words", &self.inner.get_vocab_size(true))
            .field("eos", &self.eos)
            .field("template", &self.template.is_some())
            .finish_non_exhaustive()
    }
}

/// GGUF token types that are words of control: 3 (control) and 4 (user defined).
const SPECIAL_KINDS: [i64; 2] = [3, 4];

/// Name of the one template in an [`Environment`].
const TEMPLATE: &str = "chat";

fn environment(template: String) -> Result<Environment<'static>, TokenizerError> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_function("raise_exception", |text: String| -> Result<String, _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, text))
    });
    environment.add_template_owned(TEMPLATE, template).map_err(TokenizerError::Template)?;
    Ok(environment)
}

/// How text is cut into words before merging, by `tokenizer.ggml.pre`.
fn pre_tokenizer(pre: &str) -> Result<PreTokenizerWrapper, TokenizerError> {
    /// Contractions, letters, single digits, punctuation, blanks.
    const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    /// As `QWEN2`, with digits in threes.
    const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let split = |regex: &str| -> Result<PreTokenizerWrapper, TokenizerError> {
        let pattern = SplitPattern::Regex(regex.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
            .map_err(TokenizerError::Inner)?;
        Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()]).into())
    };
    match pre {
        "smollm" => Ok(Sequence::new(vec![
            Digits::new(true).into(),
            ByteLevel::new(false, true, true).into(),
        ])
        .into()),
        "qwen2" => split(QWEN2),
        "llama3" | "llama-v3" | "llama-bpe" | "smaug-bpe" => split(LLAMA3),
        _ => Ok(ByteLevel::new(false, true, true).into()),
    }
}

/// Turns tokens into text as they come: holds back bytes that are not yet whole characters.
#[derive(Clone, Debug, Default)]
pub struct TextStream {
    ids: Vec<u32>,
    /// Ids whose text was handed out and serve as context only.
    context: usize,
    /// Ids whose text was handed out.
    shown: usize,
}

impl TextStream {
    /// The text that `id` would complete in the place of the next token.
    pub fn preview(&self, tokenizer: &Tokenizer, id: u32) -> Result<String, TokenizerError> {
        let near = &self.ids[self.context..];
        let before = tokenizer.decode(&near[..self.shown - self.context])?;
        let after = tokenizer.decode(&[near, &[id]].concat())?;
        Ok(after.get(before.len()..).unwrap_or_default().to_owned())
    }

    /// The text that `id` completes; empty while a character is unfinished.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String, TokenizerError> {
        self.ids.push(id);
        let before = tokenizer.decode(&self.ids[self.context..self.shown])?;
        let after = tokenizer.decode(&self.ids[self.context..])?;
        if after.len() <= before.len() || after.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        self.context = self.shown;
        self.shown = self.ids.len();
        Ok(after.get(before.len()..).unwrap_or_default().to_owned())
    }
}
