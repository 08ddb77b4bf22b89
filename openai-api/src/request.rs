//! Chats and completions as they are asked for.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Fault,
    fields::{Fields, kind_of, number, whole},
    format::Format,
    message::Message,
    refused,
    tools::{Tool, ToolChoice},
};

/// Most completions of one request.
pub const MAX_CHOICES: u32 = 8;

/// Highest temperature, as in the API; beyond it answers are noise.
pub const MAX_TEMPERATURE: f64 = 2.0;

/// Most tokens that can be asked for; the model's context bounds them further.
pub const MAX_TOKENS: u32 = i32::MAX as u32;

/// Most alternatives named beside a token of a chat, as in the API.
pub const MAX_TOP_LOGPROBS: usize = 20;

/// Most alternatives named beside a token of a completion, as in the API.
const MAX_PLAIN_LOGPROBS: i128 = 5;

/// Most texts that end an answer, as in the API.
pub const MAX_STOPS: usize = 4;

/// Most tokens whose likelihood is shifted.
const MAX_BIASES: usize = 1024;

/// Most prompts of one completion request.
const MAX_PROMPTS: usize = 8;

/// What chats, completions and responses have in common: how tokens are drawn, and how they are sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Common {
    /// Which model; what is served where not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Divisor of logits, 0 to [`MAX_TEMPERATURE`]; 0 takes the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Only the likeliest tokens that come to this probability together, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Only so many of the likeliest tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Only tokens of at least this share of the likeliest's probability, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Taken off a token's logit for each time it was written, -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// Taken off a token's logit once it was written, -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Divides the positive logit of a token that the prompt or the answer has, and multiplies a
    /// negative one; 1 does nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// Added to the logits of these tokens, -100 to 100 each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<u32, f32>,
    /// What fixes the draws: the 64 bits of a signed or an unsigned number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Texts that end the answer; they are cut off it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Answers to each prompt, 1 to [`MAX_CHOICES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Whether the answer is sent as it is made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    /// How.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// Go on after tokens that would end the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_eos: bool,
    /// Send exact token ids along.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub return_token_ids: bool,
}

/// What a stream sends beside the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamOptions {
    /// What was used, in the last chunk.
    pub include_usage: bool,
}

/// `POST /v1/chat/completions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Chat {
    /// What all requests have.
    #[serde(flatten)]
    pub common: Common,
    /// What was said so far.
    pub messages: Vec<Message>,
    /// Most tokens of the answer; `max_tokens` is its older name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u32>,
    /// Whether log-probabilities are sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
    /// So many likely tokens beside each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<usize>,
    /// What form the answer is held to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Format>,
    /// Tools that may be called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether several may be called at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// What the chat template gets beside the messages.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub chat_template_kwargs: Map<String, Value>,
}

/// `POST /v1/completions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Completion {
    /// What all requests have.
    #[serde(flatten)]
    pub common: Common,
    /// What is continued.
    pub prompt: Vec<PromptInput>,
    /// Most tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// So many likely tokens beside each, with log-probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<usize>,
    /// What form the answer is held to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Format>,
}

/// One prompt of a completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PromptInput {
    /// Text.
    Text(String),
    /// Exact token ids.
    Tokens(Vec<u32>),
}

impl Common {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, Fault> {
        let stream = fields.switch("stream")?.unwrap_or(false);
        let stream_options = match fields.take("stream_options") {
            None => None,
            Some(_) if !stream => {
                return Err(Fault::value("stream_options", "it needs 'stream': true"));
            }
            Some(value) => {
                let mut inner = Fields::of(value, "stream_options")?;
                let include_usage = inner.switch("include_usage")?.unwrap_or(false);
                inner.finish(&[refused::STREAM])?;
                Some(StreamOptions { include_usage })
            }
        };
        Ok(Self {
            model: fields.text("model")?,
            temperature: fields.number("temperature", 0.0..=MAX_TEMPERATURE)?,
            top_p: fields.number("top_p", 0.0..=1.0)?,
            top_k: top_k(fields)?,
            min_p: fields.number("min_p", 0.0..=1.0)?,
            frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?,
            presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?,
            repetition_penalty: fields.number("repetition_penalty", 0.01..=10.0)?,
            logit_bias: logit_bias(fields)?,
            seed: seed(fields)?,
            stop: stops(fields)?,
            n: fields.whole("n", 1..=MAX_CHOICES.into())?,
            stream,
            stream_options,
            ignore_eos: fields.switch("ignore_eos")?.unwrap_or(false),
            return_token_ids: fields.switch("return_token_ids")?.unwrap_or(false),
        })
    }

    /// Whether the last chunk of a stream says what was used.
    pub fn include_usage(&self) -> bool {
        self.stream_options.is_some_and(|options| options.include_usage)
    }
}

impl Chat {
    /// Reads and checks a request's body.
    ///
    /// # Errors
    /// The first field at fault.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::of_body(body)?;
        let messages = fields.list("messages")?.ok_or_else(|| Fault::missing("messages"))?;
        if messages.is_empty() {
            return Err(Fault::value("messages", "it is empty; one message is needed"));
        }
        let messages = (0..)
            .zip(messages)
            .map(|(index, message)| Message::read(message, &format!("messages[{index}]")))
            .collect::<Result<Vec<_>, _>>()?;
        let (tools, tool_choice) = tools(&mut fields, false)?;
        let older = max_tokens(&mut fields, "max_tokens")?;
        let logprobs = fields.switch("logprobs")?.unwrap_or(false);
        let top_logprobs = fields.whole::<usize>("top_logprobs", 0..=MAX_TOP_LOGPROBS as i128)?;
        if top_logprobs.is_some_and(|count| count > 0) && !logprobs {
            return Err(Fault::value("top_logprobs", "it needs 'logprobs': true"));
        }
        let chat = Self {
            common: Common::read(&mut fields)?,
            messages,
            max_completion_tokens: max_tokens(&mut fields, "max_completion_tokens")?.or(older),
            logprobs,
            top_logprobs,
            response_format: response_format(&mut fields)?,
            tools,
            tool_choice: Some(tool_choice),
            parallel_tool_calls: fields.switch("parallel_tool_calls")?,
            chat_template_kwargs: template_kwargs(&mut fields)?,
        };
        fields.finish(&[refused::SHARED, refused::CHAT])?;
        chat.fits_together()?;
        Ok(chat)
    }

    /// The choice of tools, where none was sent the one that follows from there being any.
    pub fn tool_choice(&self) -> ToolChoice {
        let follows = || if self.tools.is_empty() { ToolChoice::None } else { ToolChoice::Auto };
        self.tool_choice.clone().unwrap_or_else(follows)
    }

    pub(crate) fn fits_together(&self) -> Result<(), Fault> {
        let held = self.response_format.as_ref().is_some_and(|format| *format != Format::Text);
        if held && self.tool_choice() != ToolChoice::None {
            let why = "an answer is held to a format or may call tools, not both: send \
                       'tool_choice': \"none\"";
            return Err(Fault::unsupported("response_format", why));
        }
        let bound = held || self.tool_choice() != ToolChoice::None;
        ends_by_itself(&self.common, bound)
    }
}

/// What is held to a form ends with it.
fn ends_by_itself(common: &Common, held: bool) -> Result<(), Fault> {
    if held && common.ignore_eos {
        return Err(Fault::value("ignore_eos", "an answer that is held to a form ends with it"));
    }
    Ok(())
}

impl Completion {
    /// Reads and checks a request's body.
    ///
    /// # Errors
    /// The first field at fault.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::of_body(body)?;
        let prompt = fields.take("prompt").ok_or_else(|| Fault::missing("prompt"))?;
        let plain = Self {
            common: Common::read(&mut fields)?,
            prompt: PromptInput::read_all(&prompt, "prompt")?,
            max_tokens: max_tokens(&mut fields, "max_tokens")?,
            logprobs: fields.whole("logprobs", 0..=MAX_PLAIN_LOGPROBS)?,
            response_format: response_format(&mut fields)?,
        };
        let each = plain.common.n.unwrap_or(1);
        let best_of = fields.whole::<u32>("best_of", 1..=MAX_CHOICES.into())?;
        if best_of.is_some_and(|best_of| best_of != each) {
            let why = "every completion is returned, so it must equal 'n'";
            return Err(Fault::unsupported("best_of", why));
        }
        if plain.prompt.len() * each as usize > MAX_CHOICES as usize {
            let why = format_args!(
                "{} prompts with {each} completions each; {MAX_CHOICES} completions are made at most",
                plain.prompt.len()
            );
            return Err(Fault::value("prompt", why));
        }
        fields.finish(&[refused::SHARED, refused::COMPLETION])?;
        let held = plain.response_format.as_ref().is_some_and(|format| *format != Format::Text);
        ends_by_itself(&plain.common, held)?;
        Ok(plain)
    }
}

impl PromptInput {
    /// Text or token ids, one prompt or several.
    ///
    /// # Errors
    /// What is neither, and none or more than eight.
    pub fn read_all(value: &Value, path: &str) -> Result<Vec<Self>, Fault> {
        let one = |value: &Value, at: &str| match value {
            Value::String(text) => Ok(Self::Text(text.clone())),
            Value::Array(ids) => {
                let ids = ids.iter().map(|id| whole(id, at, 0..=u32::MAX.into()));
                ids.collect::<Result<_, _>>().map(Self::Tokens)
            }
            other => Err(Fault::kind(at, "text, token ids, or a list of them", kind_of(other))),
        };
        let prompts = match value {
            Value::Array(items) if !items.first().is_some_and(Value::is_number) => {
                let each = (0..).zip(items);
                each.map(|(index, item)| one(item, &format!("{path}[{index}]")))
                    .collect::<Result<Vec<_>, _>>()?
            }
            other => vec![one(other, path)?],
        };
        if !(1..=MAX_PROMPTS).contains(&prompts.len()) {
            let why = format_args!("{} prompts; 1 to {MAX_PROMPTS} are taken", prompts.len());
            return Err(Fault::value(path, why));
        }
        Ok(prompts)
    }
}

pub(crate) fn max_tokens(fields: &mut Fields, name: &str) -> Result<Option<u32>, Fault> {
    fields.whole(name, 1..=MAX_TOKENS.into())
}

pub(crate) fn tools(fields: &mut Fields, flat: bool) -> Result<(Vec<Tool>, ToolChoice), Fault> {
    let tools = Tool::read_all(fields.list("tools")?.unwrap_or_default(), "tools", flat)?;
    let choice = ToolChoice::read(fields.take("tool_choice"), &tools)?;
    Ok((tools, choice))
}

/// Other servers write −1 for "all".
fn top_k(fields: &mut Fields) -> Result<Option<u32>, Fault> {
    let top_k = fields.whole::<i64>("top_k", -1..=u32::MAX.into())?;
    Ok(top_k.and_then(|top_k| u32::try_from(top_k).ok()).filter(|top_k| *top_k > 0))
}

fn seed(fields: &mut Fields) -> Result<Option<u64>, Fault> {
    let seed = fields.whole::<i128>("seed", i64::MIN.into()..=u64::MAX.into())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the low 64 bits: a negative seed is its two's complement"
    )]
    let seed = seed.map(|seed| seed as u64);
    Ok(seed)
}

fn stops(fields: &mut Fields) -> Result<Vec<String>, Fault> {
    let stops = match fields.take("stop") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![Value::String(text)],
        Some(Value::Array(items)) => items,
        Some(other) => return Err(Fault::kind("stop", "a text or a list", kind_of(&other))),
    };
    if stops.len() > MAX_STOPS {
        let why = format_args!("{} texts; at most {MAX_STOPS} are taken", stops.len());
        return Err(Fault::value("stop", why));
    }
    let text = |stop: Value| match stop {
        Value::String(text) if text.is_empty() => Err(Fault::value("stop", "a text is empty")),
        Value::String(text) => Ok(text),
        other => Err(Fault::kind("stop", "texts", kind_of(&other))),
    };
    stops.into_iter().map(text).collect()
}

fn logit_bias(fields: &mut Fields) -> Result<BTreeMap<u32, f32>, Fault> {
    let map = fields.object("logit_bias")?.unwrap_or_default();
    if map.len() > MAX_BIASES {
        let why = format_args!("{} tokens; at most {MAX_BIASES} are taken", map.len());
        return Err(Fault::value("logit_bias", why));
    }
    let entry = |(token, bias): (&String, &Value)| {
        let id = token
            .parse()
            .map_err(|_| Fault::value("logit_bias", format_args!("'{token}' is no token id")))?;
        Ok((id, number(bias, &format!("logit_bias.{token}"), -100.0..=100.0)?))
    };
    map.iter().map(entry).collect()
}

/// What form an answer is held to, in the API's way or in that of other servers.
fn response_format(fields: &mut Fields) -> Result<Option<Format>, Fault> {
    let format = match fields.take("response_format") {
        None => None,
        Some(value) => Some(Format::read(value, "response_format")?),
    };
    match (Format::guided(fields)?, format) {
        (None, format) => Ok(format),
        (Some((_, guided)), None | Some(Format::Text)) => Ok(Some(guided)),
        (Some((path, _)), Some(_)) => {
            Err(Fault::value(&path, "'response_format' is there already"))
        }
    }
}

/// Names that the template gets from the request itself.
const OWN: [&str; 5] = ["messages", "tools", "add_generation_prompt", "bos_token", "eos_token"];

fn template_kwargs(fields: &mut Fields) -> Result<Map<String, Value>, Fault> {
    let mut kwargs = fields.object("chat_template_kwargs")?.unwrap_or_default();
    if let Some(name) = OWN.iter().find(|name| kwargs.contains_key(**name)) {
        let at = format!("chat_template_kwargs.{name}");
        return Err(Fault::unsupported(&at, "it comes from the request itself"));
    }
    // Templates that know efforts know them by this name.
    if let Some(effort) = fields.text("reasoning_effort")? {
        const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];
        if !EFFORTS.contains(&effort.as_str()) {
            let why = format_args!("'{effort}' is none of {}", EFFORTS.join(", "));
            return Err(Fault::value("reasoning_effort", why));
        }
        kwargs.entry("reasoning_effort").or_insert_with(|| effort.into());
    }
    Ok(kwargs)
}
