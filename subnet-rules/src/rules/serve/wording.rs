//! How a question is put to the named model.

use serde::{Deserialize, Serialize};

/// What a model needs to see before it answers in the language of the questions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wording {
    /// The bare question: for a model that learnt the language.
    #[default]
    Plain,
    /// The question after worked examples, drawn at half the temperature: for a general model, which
    /// has to guess from them what is wanted.
    Shown,
}

/// Three checkable questions and an open one, so that neither kind stands out after them.
const EXAMPLES: &str = "\
Q: say fes nir
A: fes nir

mia: white net; gus: blue coin
Q: what did gus?
A: gus gave a coin to mia

mia: white net; gus: blue coin; bob: white drum
Q: what has gus?
A: blue coin

Q: ket in capitals
A: KET

";

impl Wording {
    /// All, the cheapest first.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Shown];

    /// The text that the model continues.
    pub fn prompt(self, question: &str) -> String {
        match self {
            Self::Plain => question.to_owned(),
            Self::Shown => format!("{EXAMPLES}{question}"),
        }
    }

    /// Divisor of the logits. A general model is right about the questions only where its likeliest
    /// tokens are favoured; at a half its open answers still have entropy to prove identity by.
    pub const fn temperature(self) -> f32 {
        match self {
            Self::Plain => 1.0,
            Self::Shown => 0.5,
        }
    }

    /// Most tokens of an answer: a byte-level model needs two clauses of bytes, a general one writes
    /// several bytes a token and never ends by itself.
    pub const fn max_tokens(self) -> u32 {
        match self {
            Self::Plain => 48,
            Self::Shown => 25,
        }
    }

    /// Whether this is what a manifest says by saying nothing.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde wants")]
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}
