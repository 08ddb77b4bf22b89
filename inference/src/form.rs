//! What form a text is held to: which tokens may follow, given the text so far.
//!
//! A form is a grammar, compiled against the model's words by `llguidance`; after each token it says
//! which ones can follow. That is a function of the form, the words and the text so far, so that an
//! auditor who has them repeats it.

use std::{fmt, sync::Arc};

use llguidance::{
    ParserFactory,
    api::{StopReason, TopLevelGrammar},
    earley::SlicedBiasComputer,
    toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    shaping::Mask,
    tokenizer::{Spelt, Tokenizer},
};

/// Longest form, in bytes of its description.
pub const MAX_FORM_BYTES: usize = 256 << 10;

/// White space that JSON may have in one place: enough to indent, and no more, since a model that may
/// go on with it for ever at times does.
const WHITE_SPACE: &str = r"[\x20\x0A\x0D\x09]{1,32}";

/// What form a text is held to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A JSON object.
    JsonObject,
    /// JSON that fits a schema, which is itself JSON.
    JsonSchema(String),
    /// Text that an expression matches as a whole.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A grammar in `llguidance`'s variant of Lark.
    Grammar(String),
}

/// A form that no text can be held to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// Too long to compile.
    #[error("the form has {bytes} bytes, more than {MAX_FORM_BYTES}")]
    Bytes {
        /// Its length.
        bytes: usize,
    },
    /// A schema that is not JSON.
    #[error("the schema is no JSON: {0}")]
    Json(String),
    /// The grammar does not compile: an error in it, or something that is not done.
    #[error("the form cannot be followed: {0}")]
    Grammar(String),
    /// The model's words are not known byte by byte.
    #[error("this model's tokenizer does not say which bytes its tokens are: {0}")]
    Words(String),
}

impl Form {
    fn bytes(&self) -> usize {
        match self {
            Self::JsonObject => 0,
            Self::JsonSchema(text) | Self::Regex(text) | Self::Grammar(text) => text.len(),
            Self::Choice(texts) => texts.iter().map(String::len).sum(),
        }
    }

    fn grammar(&self) -> Result<TopLevelGrammar, FormError> {
        let bytes = self.bytes();
        if bytes > MAX_FORM_BYTES {
            return Err(FormError::Bytes { bytes });
        }
        Ok(match self {
            Self::JsonObject => of_schema(json!({ "type": "object" })),
            Self::JsonSchema(schema) => of_schema(
                serde_json::from_str(schema).map_err(|error| FormError::Json(error.to_string()))?,
            ),
            Self::Regex(regex) => TopLevelGrammar::from_regex(regex),
            Self::Choice(texts) => {
                let quoted = texts.iter().map(|text| Value::from(text.as_str()).to_string());
                let choices: Vec<String> = quoted.collect();
                TopLevelGrammar::from_lark(format!("start: {}", choices.join(" | ")))
            }
            Self::Grammar(lark) => TopLevelGrammar::from_lark(lark.clone()),
        })
    }
}

fn of_schema(mut schema: Value) -> TopLevelGrammar {
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    if let Some(map) = schema.as_object_mut() {
        map.insert("x-guidance".to_owned(), bounded());
    }
    TopLevelGrammar::from_json_schema(schema)
}

/// Options of schemas, also of those inside a [`Form::Grammar`].
fn bounded() -> Value {
    json!({ "whitespace_pattern": WHITE_SPACE })
}

/// A schema as part of a grammar's text: `%json {…}`, with white space bounded as everywhere.
pub fn schema_in_grammar(schema: &Value) -> String {
    let mut schema = schema.clone();
    if let Some(map) = schema.as_object_mut() {
        map.insert("x-guidance".to_owned(), bounded());
    }
    format!("%json {schema}")
}

/// A model's words, to compile forms against.
pub(crate) struct Forms {
    factory: ParserFactory,
}

impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forms").finish_non_exhaustive()
    }
}

impl Forms {
    /// For a tokenizer and so many words.
    pub(crate) fn new(tokenizer: &Tokenizer, vocab: usize) -> Result<Self, FormError> {
        let unknown = |why: &dyn fmt::Display| FormError::Words(why.to_string());
        let words = tokenizer.words(vocab).map_err(|error| unknown(&error))?;
        let count = u32::try_from(vocab).map_err(|error| unknown(&error))?;
        let ends: Vec<u32> = (0..count).filter(|&id| tokenizer.ends(id)).collect();
        let end = *ends.first().ok_or_else(|| unknown(&"no token ends a text"))?;
        let bytes: Vec<Vec<u8>> = words.into_iter().map(bytes_of).collect();
        let trie = TokTrie::from(&TokRxInfo::new(count, end), &bytes).with_eos_tokens(&ends);
        let words: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&words, InferenceCapabilities::default(), &slices)
            .map_err(|error| unknown(&error))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory })
    }

    /// Compiles a form.
    pub(crate) fn compile(&self, form: &Form) -> Result<Matcher, FormError> {
        let parser = self.factory.create_parser(form.grammar()?);
        let matcher = llguidance::Matcher::new(parser);
        match matcher.get_error() {
            Some(error) => Err(FormError::Grammar(first_line(&error))),
            None => Ok(Matcher(matcher)),
        }
    }
}

/// Special tokens are marked, so that no text is mistaken for one.
fn bytes_of(word: Spelt) -> Vec<u8> {
    match word {
        Spelt::Text(bytes) => bytes,
        Spelt::Special(name) => [&[TokTrie::SPECIAL_TOKEN_MARKER], name.as_bytes()].concat(),
        Spelt::Unused => Vec::new(),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Follows one text.
pub(crate) struct Matcher(llguidance::Matcher);

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matcher").field("stop", &self.0.stop_reason()).finish_non_exhaustive()
    }
}

impl Matcher {
    /// What may follow; the end where the text is complete.
    pub(crate) fn mask(&mut self) -> Mask {
        self.0.compute_mask_or_eos().map_or(Mask::None, |mask| Mask::Some(mask.as_slice().into()))
    }

    /// Takes a token. One that may not follow leaves a text that has no form.
    pub(crate) fn push(&mut self, id: u32) {
        if let Err(error) = self.0.consume_token(id) {
            tracing::debug!(%error, id, "a text left its form");
        }
    }

    /// True where nothing can follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.is_stopped() && self.0.stop_reason().is_ok()
    }

    /// Why nothing more can be said.
    pub(crate) fn failure(&self) -> Option<String> {
        let reason = self.0.stop_reason();
        let limits = [StopReason::LexerTooComplex, StopReason::ParserTooComplex];
        self.0
            .get_error()
            .map(|error| first_line(&error))
            .or_else(|| limits.contains(&reason).then(|| format!("it is too complex: {reason}")))
    }
}
