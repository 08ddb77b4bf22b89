//! From a checked request to the engine's jobs.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use inference::{Engine, Form, Job, Prompt, Sampling, Shaping, Share};
use openai_api::{Chat, Common, Completion, Format, PromptInput, ToolChoice};

use super::{error::ApiError, prompt, tools};

/// Tokens of a plain completion that does not say how many, as in the API.
const PLAIN_TOKENS: u32 = 16;

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Chat,
    Plain,
}

impl Style {
    /// The field that the prompt came in.
    pub(super) const fn prompt(self) -> &'static str {
        match self {
            Self::Chat => "messages",
            Self::Plain => "prompt",
        }
    }
}

/// What is to be answered, and how.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the API")]
pub(super) struct Order {
    pub(super) style: Style,
    pub(super) prompts: Vec<Prompt>,
    /// Completions of each prompt.
    pub(super) choices: u32,
    max_tokens: u32,
    temperature: f32,
    shaping: Shaping,
    pub(super) seed: u64,
    stop: Vec<String>,
    ignore_end: bool,
    /// Log-probabilities, with so many alternatives.
    pub(super) logprobs: Option<usize>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) token_ids: bool,
    /// Whether the text may hold calls of tools.
    pub(super) calls: bool,
}

impl Order {
    pub(super) fn of_chat(chat: &Chat, engine: &Engine) -> Result<Self, ApiError> {
        let choice = chat.tool_choice();
        let prompt = prompt::of_chat(chat, engine)?;
        let form = match &choice {
            ToolChoice::None => chat.response_format.as_ref().and_then(form),
            choice => {
                let several = chat.parallel_tool_calls.unwrap_or(true);
                Some(tools::form(&chat.tools, choice, several))
            }
        };
        let alternatives = chat.top_logprobs.unwrap_or(0);
        Ok(Self {
            // Without a bound the model's context is the bound.
            max_tokens: chat.max_completion_tokens.unwrap_or(u32::MAX),
            logprobs: chat.logprobs.then_some(alternatives),
            calls: choice != ToolChoice::None,
            ..Self::new(Style::Chat, vec![prompt], &chat.common, form)
        })
    }

    pub(super) fn of_completion(plain: Completion) -> Self {
        let prompts = plain.prompt.into_iter().map(|prompt| match prompt {
            PromptInput::Text(text) => Prompt::Text(text),
            PromptInput::Tokens(ids) => Prompt::Tokens(ids),
        });
        let form = plain.response_format.as_ref().and_then(form);
        Self {
            max_tokens: plain.max_tokens.unwrap_or(PLAIN_TOKENS),
            logprobs: plain.logprobs,
            ..Self::new(Style::Plain, prompts.collect(), &plain.common, form)
        }
    }

    fn new(style: Style, prompts: Vec<Prompt>, common: &Common, form: Option<Form>) -> Self {
        Self {
            style,
            prompts,
            choices: common.n.unwrap_or(1),
            max_tokens: 0,
            temperature: common.temperature.unwrap_or(1.0),
            shaping: shaping(common, form),
            seed: common.seed.unwrap_or_else(random),
            stop: common.stop.clone(),
            ignore_end: common.ignore_eos,
            logprobs: None,
            stream: common.stream,
            include_usage: common.include_usage(),
            token_ids: common.return_token_ids,
            calls: false,
        }
    }

    /// The jobs, by choice: the first choice of every prompt draws by the seed itself, the others by
    /// the numbers after it.
    pub(super) fn jobs(&self, share: Share, time: Duration) -> Result<Vec<Job>, ApiError> {
        let choices = self.prompts.iter().flat_map(|p| (0..self.choices).map(move |i| (p, i)));
        choices
            .map(|(prompt, choice)| {
                let seed = self.seed.wrapping_add(choice.into());
                let sampling = Sampling::new(self.temperature, seed)
                    .map_err(|error| ApiError::value("temperature", error))?;
                Ok(Job {
                    shaping: self.shaping.clone(),
                    stop: self.stop.clone(),
                    ignore_end: self.ignore_end,
                    alternatives: self.logprobs.unwrap_or(0),
                    deadline: Some(time),
                    share,
                    ..Job::new(prompt.clone(), self.max_tokens, sampling)
                })
            })
            .collect()
    }
}

/// What a request asks of the distribution.
pub(super) fn shaping(common: &Common, form: Option<Form>) -> Shaping {
    let neutral = Shaping::default();
    Shaping {
        top_k: common.top_k.unwrap_or(neutral.top_k),
        top_p: common.top_p.unwrap_or(neutral.top_p),
        min_p: common.min_p.unwrap_or(neutral.min_p),
        frequency_penalty: common.frequency_penalty.unwrap_or(neutral.frequency_penalty),
        presence_penalty: common.presence_penalty.unwrap_or(neutral.presence_penalty),
        repetition_penalty: common.repetition_penalty.unwrap_or(neutral.repetition_penalty),
        logit_bias: common.logit_bias.clone(),
        form,
    }
}

fn form(format: &Format) -> Option<Form> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(Form::JsonObject),
        Format::JsonSchema { json_schema } => {
            Some(Form::JsonSchema(json_schema.schema.to_string()))
        }
        Format::Regex { regex } => Some(Form::Regex(regex.clone())),
        Format::Choice { choice } => Some(Form::Choice(choice.clone())),
    }
}

/// A number that nobody could foresee, for requests without a seed and for the ids of answers.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}
