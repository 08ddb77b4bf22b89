//! Text to token ids and back, and the chat template.

mod chat;
mod pieces;
mod pre;
mod python;
mod template;
mod words;

use std::fmt;

use serde::Deserialize;

pub use chat::{Chat, Json, Message};
pub(crate) use words::GgufWords;

use pieces::Pieces;
use template::{Specials, Templates};

use crate::config::Config;

mod spelling;
pub(crate) use spelling::Spelt;

/// A tokenizer, the ids that end a completion, and the chat template where the model has one.
pub struct Tokenizer {
    inner: Inner,
    bos: Option<u32>,
    eos: Option<u32>,
    chat_bos: Option<u32>,
    ends: Vec<u32>,
    templates: Option<Templates>,
    /// Decoding takes a blank off the front of a text.
    anchor: Option<Anchor>,
}

/// Who cuts text into tokens.
enum Inner {
    /// The `tokenizers` crate.
    Library(Box<tokenizers::Tokenizer>),
    Pieces(Box<Pieces>),
}

/// A word before whose text another's keeps its blank.
struct Anchor {
    id: u32,
    text: String,
}

/// What a tokenizer is put together from, beside its words.
#[derive(Default)]
struct Settings {
    /// In front of and behind every text.
    bos: Option<u32>,
    eos: Option<u32>,
    /// In front of a chat whose template did not print it.
    chat_bos: Option<u32>,
    special: Specials,
    templates: Vec<(String, String)>,
    ends: Vec<u32>,
}

/// A tokenizer that cannot be built, or text that it cannot take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The `tokenizers` crate refuses the description or the text.
    #[error("the tokenizer refuses its input")]
    Inner(#[source] tokenizers::Error),
    /// A kind of GGUF tokenizer that we do not build.
    #[error(
        "GGUF tokenizer `{model}` is not supported (supported: gpt2, llama and t5, that is \
         byte-level BPE and SentencePiece)"
    )]
    Model {
        /// The file's `tokenizer.ggml.model`.
        model: String,
    },
    /// A way of cutting text into words that we do not know.
    #[error(
        "tokenizer.ggml.pre `{pre}` is not known here: text would be cut into other tokens than \
         the model learned"
    )]
    Pre {
        /// The file's `tokenizer.ggml.pre`.
        pre: String,
    },
    /// A table of normalised letters, which is not read.
    #[error("tokenizer.ggml.precompiled_charsmap is not supported: text would not be normalised")]
    Normaliser,
    /// Byte-level BPE without merges.
    #[error("the GGUF has no tokenizer.ggml.merges")]
    NoMerges,
    /// A word has two ids.
    #[error("tokenizer.ggml.tokens has a word twice")]
    Twice,
    /// Texts begin or end with a word that the file does not name.
    #[error("texts are to be surrounded by tokenizer.ggml.{name}, which the file does not have")]
    NoSuchWord {
        /// The key that is missing.
        name: &'static str,
    },
    /// Arrays that go with the words are of another length.
    #[error("the file has {found} {what} for {words} words")]
    Lengths {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many words.
        words: usize,
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
    #[error("{file} is malformed")]
    Settings {
        /// Which file.
        file: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The chat template does not compile, or fails on a chat.
    #[error("the chat template fails in line {line}: {reason}")]
    Template {
        /// Which line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// The chat template refuses a chat, in its own words.
    #[error("the chat template refuses: {0}")]
    Raised(String),
    /// Several chat templates, and none for a plain chat.
    #[error("none of the model's chat templates is called `default`")]
    NoDefaultTemplate,
    /// An argument for the chat template by a name that has a meaning already.
    #[error("`{0}` is no argument for the chat template: it is what the template renders")]
    ReservedArgument(&'static str),
    /// The last message is to be continued, and it has no text, or the template does not print it.
    #[error(
        "the last message has no text that the chat template prints: there is nothing to continue"
    )]
    NothingToContinue,
    /// A way of turning tokens to text in which a token has no bytes of its own.
    #[error("tokens of a `{0}` decoder have no bytes of their own")]
    Words(String),
    /// A chat for a model without a template.
    #[error("this model has no chat template: send a text prompt")]
    NoTemplate,
}

/// Files of a Hugging Face folder that say how to talk with a model.
#[derive(Default)]
pub(crate) struct HubWords<'a> {
    /// `tokenizer.json`.
    pub(crate) tokenizer: &'a [u8],
    /// `tokenizer_config.json`.
    pub(crate) settings: Option<&'a [u8]>,
    /// `special_tokens_map.json`.
    pub(crate) special: Option<&'a [u8]>,
    /// `chat_template.json`.
    pub(crate) template_json: Option<&'a [u8]>,
    /// `chat_template.jinja`, and those of `additional_chat_templates`, by name.
    pub(crate) templates: Vec<(String, Vec<u8>)>,
}

/// `tokenizer_config.json`, `special_tokens_map.json` or `chat_template.json`, as far as we read it.
#[derive(Default, Deserialize)]
struct RawSettings {
    chat_template: Option<Template>,
    #[serde(flatten)]
    rest: std::collections::BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Template {
    One(String),
    Named(Vec<NamedTemplate>),
    ByName(std::collections::BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

impl Template {
    fn named(self) -> Vec<(String, String)> {
        match self {
            Self::One(text) => vec![("default".to_owned(), text)],
            Self::Named(all) => all.into_iter().map(|t| (t.name, t.template)).collect(),
            Self::ByName(all) => all.into_iter().collect(),
        }
    }
}

impl RawSettings {
    fn read(file: &'static str, json: Option<&[u8]>) -> Result<Self, TokenizerError> {
        let malformed = |source| TokenizerError::Settings { file, source };
        json.map_or_else(
            || Ok(Self::default()),
            |json| serde_json::from_slice(json).map_err(malformed),
        )
    }

    /// Special tokens by name: `bos_token` and its like.
    fn special(&self) -> impl Iterator<Item = (String, String)> {
        let text = |value: &serde_json::Value| {
            let text = value.as_str().or_else(|| value.get("content")?.as_str());
            text.map(str::to_owned)
        };
        let named = self.rest.iter().filter(|(name, _)| name.ends_with("_token"));
        named.filter_map(move |(name, value)| Some((name.clone(), text(value)?)))
    }
}

/// A `tokenizer.json` of at most `vocab` words, that neither pads nor cuts.
pub(crate) fn plain(json: &[u8], vocab: usize) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(TokenizerError::Inner)?;
    inner.with_padding(None).with_truncation(None).map_err(TokenizerError::Inner)?;
    fits(inner.get_vocab_size(true), vocab)?;
    Ok(inner)
}

const fn fits(words: usize, vocab: usize) -> Result<(), TokenizerError> {
    if words > vocab { Err(TokenizerError::Vocabulary { words, vocab }) } else { Ok(()) }
}

impl Tokenizer {
    /// Builds from the files of a Hugging Face folder.
    pub(crate) fn from_json(files: HubWords<'_>, config: &Config) -> Result<Self, TokenizerError> {
        let inner = plain(files.tokenizer, config.vocab)?;
        let settings = RawSettings::read("tokenizer_config.json", files.settings)?;
        let map = RawSettings::read("special_tokens_map.json", files.special)?;
        let json = RawSettings::read("chat_template.json", files.template_json)?;
        // The later ones win.
        let special: std::collections::BTreeMap<String, String> =
            map.special().chain(settings.special()).collect();
        let own = files
            .templates
            .into_iter()
            .filter_map(|(name, bytes)| Some((name, String::from_utf8(bytes).ok()?)));
        let mut templates: Vec<(String, String)> = own.collect();
        for template in [json.chat_template, settings.chat_template].into_iter().flatten() {
            for (name, text) in template.named() {
                if !templates.iter().any(|(known, _)| *known == name) {
                    templates.push((name, text));
                }
            }
        }
        let ends = special.get("eos_token").and_then(|end| inner.token_to_id(end));
        let turns = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>"];
        let turns = turns.into_iter().filter_map(|word| inner.token_to_id(word));
        let ends = ends.into_iter().chain(turns).collect();
        let special = special.into_iter().collect();
        let settings = Settings { special, templates, ends, ..Settings::default() };
        Self::finish(Inner::Library(Box::new(inner)), settings, config)
    }

    fn finish(inner: Inner, settings: Settings, config: &Config) -> Result<Self, TokenizerError> {
        fits(inner.words(), config.vocab)?;
        let mut ends = config.eos.clone();
        ends.extend(settings.ends);
        ends.sort_unstable();
        ends.dedup();
        let templates = Templates::new(settings.templates, settings.special)?;
        let anchor = inner.anchor();
        let Settings { bos, eos, chat_bos, .. } = settings;
        Ok(Self { inner, bos, eos, chat_bos, ends, templates, anchor })
    }

    /// Token ids of `text`, with whatever the model puts around every text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let ids = self.inner.encode(text, true)?;
        Ok(self.bos.into_iter().chain(ids).chain(self.eos).collect())
    }

    /// Token ids of a chat, rendered by the model's own template, with the assistant's turn opened.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, TokenizerError> {
        self.encode_conversation(&messages.into())
    }

    /// Token ids of a chat with everything that a template may be given.
    pub fn encode_conversation(&self, chat: &Chat) -> Result<Vec<u32>, TokenizerError> {
        let ids = self.inner.encode(&self.render_conversation(chat)?, false)?;
        let bos = self.chat_bos.filter(|bos| ids.first() != Some(bos));
        Ok(bos.into_iter().chain(ids).collect())
    }

    /// The chat as the model's template prints it.
    pub fn render(&self, messages: &[Message]) -> Result<String, TokenizerError> {
        self.render_conversation(&messages.into())
    }

    /// The chat as the model's template prints it, with tools and arguments.
    pub fn render_conversation(&self, chat: &Chat) -> Result<String, TokenizerError> {
        self.templates.as_ref().ok_or(TokenizerError::NoTemplate)?.render(chat)
    }

    /// Whether the plainest chat renders.
    ///
    /// # Errors
    /// What the template fails with, or that there is none.
    pub fn check_template(&self) -> Result<(), TokenizerError> {
        self.templates.as_ref().ok_or(TokenizerError::NoTemplate)?.rehearse().map(drop)
    }

    /// Text of `ids`, special tokens left out, invalid UTF-8 replaced. A blank at the front stays: `ids`
    /// follow other text.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        let Some(Anchor { id, text }) = &self.anchor else { return self.inner.decode(ids) };
        let anchored: Vec<u32> = std::iter::once(*id).chain(ids.iter().copied()).collect();
        let whole = self.inner.decode(&anchored)?;
        Ok(whole.strip_prefix(text.as_str()).unwrap_or(&whole).to_owned())
    }

    /// True for the ids that end a completion.
    pub fn ends(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The bytes of each of the `vocab` ids.
    pub(crate) fn words(&self, vocab: usize) -> Result<Vec<Spelt>, TokenizerError> {
        match &self.inner {
            Inner::Library(inner) => spelling::all(inner, vocab),
            Inner::Pieces(pieces) => Ok((0..).take(vocab).map(|id| pieces.spelt(id)).collect()),
        }
    }

    /// True where the model came with a chat template.
    pub const fn has_template(&self) -> bool {
        self.templates.is_some()
    }
}

impl Inner {
    fn words(&self) -> usize {
        match self {
            Self::Library(inner) => inner.get_vocab_size(true),
            Self::Pieces(pieces) => pieces.words(),
        }
    }

    fn encode(&self, text: &str, surrounded: bool) -> Result<Vec<u32>, TokenizerError> {
        match self {
            Self::Library(inner) => {
                let encoding =
                    inner.encode_fast(text, surrounded).map_err(TokenizerError::Inner)?;
                Ok(encoding.get_ids().to_vec())
            }
            Self::Pieces(pieces) => Ok(pieces.encode(text)),
        }
    }

    fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        match self {
            Self::Library(inner) => inner.decode(ids, true).map_err(TokenizerError::Inner),
            Self::Pieces(pieces) => Ok(pieces.decode(ids)),
        }
    }

    /// Words to decode behind, where decoding alone would lose a blank.
    fn anchor(&self) -> Option<Anchor> {
        /// Words that many vocabularies have, with and without a blank before them.
        const TRIES: [&str; 4] = ["▁a", "▁the", "▁", "▁A"];
        let Self::Library(inner) = self else { return None };
        let id = TRIES.into_iter().find_map(|word| inner.token_to_id(word))?;
        let text = inner.decode(&[id], true).ok()?;
        (!text.starts_with(' ')).then_some(Anchor { id, text })
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("words", &self.inner.words())
            .field("ends", &self.ends)
            .field("template", &self.templates.is_some())
            .finish_non_exhaustive()
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
