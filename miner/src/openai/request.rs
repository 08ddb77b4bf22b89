//! Requests: lenient about fields that we do not know, strict about those that we do.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use inference::{Job, MAX_ALTERNATIVES, Message, Prompt, Sampling, Share};
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;

/// Most completions of one request.
const MAX_CHOICES: u32 = 8;

/// Highest temperature, as in the API; beyond it answers are noise.
const MAX_TEMPERATURE: f32 = 2.0;

/// Most alternatives a plain completion names for a token, as in the API.
const MAX_PLAIN_ALTERNATIVES: usize = 5;

/// Tokens of a plain completion that does not say how many, as in the API.
const PLAIN_TOKENS: u32 = 16;

/// Time in which an answer must be done, queueing included.
const DEADLINE: Duration = Duration::from_secs(100);

/// What chats and plain completions have in common.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Knobs {
    model: Option<String>,
    max_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    n: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    stop: Option<OneOrMany>,
    seed: Option<i64>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    logit_bias: Option<HashMap<String, f32>>,
    min_tokens: Option<u32>,
    ignore_eos: Option<bool>,
    return_token_ids: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// `POST /v1/chat/completions`.
#[derive(Debug, Deserialize)]
pub(super) struct Chat {
    messages: Vec<ChatMessage>,
    max_completion_tokens: Option<u32>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    response_format: Option<Value>,
    tools: Option<Vec<Value>>,
    functions: Option<Vec<Value>>,
    #[serde(skip)]
    knobs: Knobs,
}

#[derive(Debug, Deserialize)]
struct ChatMessage {
    role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
}

/// `POST /v1/completions`.
#[derive(Debug, Deserialize)]
pub(super) struct Completion {
    prompt: PlainPrompt,
    logprobs: Option<usize>,
    echo: Option<bool>,
    suffix: Option<String>,
    best_of: Option<u32>,
    #[serde(skip)]
    knobs: Knobs,
}

/// Text or token ids, one prompt or several.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct PlainPrompt(pub(super) Vec<Prompt>);

impl TryFrom<Value> for PlainPrompt {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, &'static str> {
        const WRONG: &str = "a prompt is text, token ids, or a list of one of them";
        let prompts = match value {
            Value::String(text) => vec![Prompt::Text(text)],
            Value::Array(items) if items.first().is_some_and(Value::is_number) => {
                vec![Prompt::Tokens(token_ids(&items).ok_or(WRONG)?)]
            }
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Some(Prompt::Text(text)),
                    Value::Array(ids) => token_ids(&ids).map(Prompt::Tokens),
                    _ => None,
                })
                .collect::<Option<_>>()
                .ok_or(WRONG)?,
            _ => return Err(WRONG),
        };
        Ok(Self(prompts))
    }
}

fn token_ids(items: &[Value]) -> Option<Vec<u32>> {
    items.iter().map(|item| item.as_u64().and_then(|id| id.try_into().ok())).collect()
}

impl Chat {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        Ok(Self { knobs: read(body)?, ..read(body)? })
    }
}

impl Completion {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        Ok(Self { knobs: read(body)?, ..read(body)? })
    }
}

/// Read once for what all requests share and once for the rest: serde's flattening does not carry
/// numbers of arbitrary precision, which other crates of the workspace switch on.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::malformed(&error))
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Chat,
    Plain,
}

/// A checked request.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the API")]
pub(super) struct Form {
    pub(super) style: Style,
    pub(super) model: Option<String>,
    pub(super) prompts: Vec<Prompt>,
    /// Completions of each prompt.
    choices: u32,
    max_tokens: u32,
    temperature: f32,
    pub(super) seed: u64,
    stop: Vec<String>,
    ignore_end: bool,
    /// Log-probabilities, with so many alternatives.
    pub(super) logprobs: Option<usize>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) token_ids: bool,
}

impl Form {
    pub(super) fn of_chat(chat: Chat) -> Result<Self, ApiError> {
        let messages = chat.messages.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
        if messages.is_empty() {
            return Err(ApiError::value("messages", "it is empty"));
        }
        let plain = |format: &Value| format["type"] == "text";
        if chat.response_format.is_some_and(|format| !plain(&format)) {
            return Err(ApiError::unsupported("response_format", "only text is generated"));
        }
        if [chat.tools, chat.functions].into_iter().flatten().any(|tools| !tools.is_empty()) {
            return Err(ApiError::unsupported("tools", "no tools are called"));
        }
        let logprobs = chat.logprobs.unwrap_or(false);
        let alternatives = chat.top_logprobs.unwrap_or(0);
        if alternatives > MAX_ALTERNATIVES {
            return Err(ApiError::value("top_logprobs", "it is above 20"));
        }
        if alternatives > 0 && !logprobs {
            return Err(ApiError::value("top_logprobs", "it needs 'logprobs': true"));
        }
        let max_tokens = chat.max_completion_tokens.or(chat.knobs.max_tokens);
        let form = Self {
            style: Style::Chat,
            // Without a bound the model's context is the bound.
            max_tokens: max_tokens.unwrap_or(u32::MAX),
            logprobs: logprobs.then_some(alternatives),
            ..Self::of_knobs(chat.knobs)?
        };
        Ok(Self { prompts: vec![Prompt::Chat(messages)], ..form })
    }

    pub(super) fn of_completion(plain: Completion) -> Result<Self, ApiError> {
        if plain.echo == Some(true) {
            return Err(ApiError::unsupported("echo", "send token ids to /v1/score instead"));
        }
        if plain.suffix.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(ApiError::unsupported("suffix", "text is only continued"));
        }
        if plain.best_of.is_some_and(|best| best != plain.knobs.n.unwrap_or(1)) {
            return Err(ApiError::unsupported("best_of", "every completion is returned"));
        }
        if plain.logprobs.is_some_and(|count| count > MAX_PLAIN_ALTERNATIVES) {
            return Err(ApiError::value("logprobs", "it is above 5"));
        }
        let PlainPrompt(prompts) = plain.prompt;
        let form = Self {
            style: Style::Plain,
            max_tokens: plain.knobs.max_tokens.unwrap_or(PLAIN_TOKENS),
            logprobs: plain.logprobs,
            ..Self::of_knobs(plain.knobs)?
        };
        let most = MAX_CHOICES as usize / form.choices as usize;
        if prompts.is_empty() || prompts.len() > most {
            return Err(ApiError::value("prompt", "there must be 1 to 8 completions in all"));
        }
        Ok(Self { prompts, ..form })
    }

    fn of_knobs(knobs: Knobs) -> Result<Self, ApiError> {
        knobs.refuse_what_gumbel_lacks()?;
        let choices = knobs.n.unwrap_or(1);
        if !(1..=MAX_CHOICES).contains(&choices) {
            return Err(ApiError::value("n", format!("{choices} is not within 1..={MAX_CHOICES}")));
        }
        let temperature = knobs.temperature.unwrap_or(1.0);
        if !(0.0..=MAX_TEMPERATURE).contains(&temperature) {
            return Err(ApiError::value("temperature", "it is not within 0..=2"));
        }
        let stop = match knobs.stop {
            None => Vec::new(),
            Some(OneOrMany::One(stop)) => vec![stop],
            Some(OneOrMany::Many(stops)) => stops,
        };
        let options = knobs.stream_options.unwrap_or_default();
        Ok(Self {
            style: Style::Plain,
            model: knobs.model,
            prompts: Vec::new(),
            choices,
            max_tokens: 0,
            temperature,
            seed: knobs.seed.map_or_else(random, |seed| u64::from_le_bytes(seed.to_le_bytes())),
            stop,
            ignore_end: knobs.ignore_eos.unwrap_or(false),
            logprobs: None,
            stream: knobs.stream.unwrap_or(false),
            include_usage: options.include_usage.unwrap_or(false),
            token_ids: knobs.return_token_ids.unwrap_or(false),
        })
    }

    /// The jobs, by choice: the first choice of every prompt draws by the seed itself, the others by
    /// the numbers after it.
    pub(super) fn jobs(&self, share: Share) -> Result<Vec<Job>, ApiError> {
        let choices = self.prompts.iter().flat_map(|p| (0..self.choices).map(move |i| (p, i)));
        choices
            .map(|(prompt, choice)| {
                let seed = self.seed.wrapping_add(choice.into());
                let sampling = Sampling::new(self.temperature, seed)
                    .map_err(|error| ApiError::value("temperature", error))?;
                Ok(Job {
                    stop: self.stop.clone(),
                    ignore_end: self.ignore_end,
                    alternatives: self.logprobs.unwrap_or(0),
                    deadline: Some(DEADLINE),
                    share,
                    ..Job::new(prompt.clone(), self.max_tokens, sampling)
                })
            })
            .collect()
    }
}

impl Knobs {
    fn refuse_what_gumbel_lacks(&self) -> Result<(), ApiError> {
        const WHY: &str = "tokens are drawn by gumbel-v1, which has a temperature and a seed";
        // Of no effect at these values, whatever the sampler.
        let is =
            |value: Option<f32>, neutral: f32| value.is_none_or(|v| (v - neutral).abs() == 0.0);
        if !is(self.top_p, 1.0) {
            return Err(ApiError::unsupported("top_p", WHY));
        }
        if !matches!(self.top_k, None | Some(-1 | 0)) {
            return Err(ApiError::unsupported("top_k", WHY));
        }
        if !is(self.frequency_penalty, 0.0) {
            return Err(ApiError::unsupported("frequency_penalty", WHY));
        }
        if !is(self.presence_penalty, 0.0) {
            return Err(ApiError::unsupported("presence_penalty", WHY));
        }
        if self.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty()) {
            return Err(ApiError::unsupported("logit_bias", WHY));
        }
        if self.min_tokens.is_some_and(|tokens| tokens > 0) {
            return Err(ApiError::unsupported("min_tokens", "'ignore_eos' is"));
        }
        Ok(())
    }
}

fn message(message: ChatMessage) -> Result<Message, ApiError> {
    let content = match message.content {
        None => String::new(),
        Some(Content::Text(text)) => text,
        Some(Content::Parts(parts)) => {
            if parts.iter().any(|part| part.kind != "text") {
                return Err(ApiError::unsupported("messages", "parts that are not text"));
            }
            parts.into_iter().map(|part| part.text).collect()
        }
    };
    // The newer name of the same role, which templates do not know.
    let role = if message.role == "developer" { "system".to_owned() } else { message.role };
    Ok(Message { role, content })
}

/// A number that nobody could foresee, for requests without a seed and for the ids of answers.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(json: &Value) -> Result<Form, ApiError> {
        Form::of_chat(Chat::parse(json.to_string().as_bytes())?)
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        let say = serde_json::json!([{ "role": "user", "content": "hi" }]);
        for (param, value) in [
            ("top_p", serde_json::json!(0.9)),
            ("top_k", 40.into()),
            ("presence_penalty", 0.5.into()),
            ("n", 0.into()),
            ("n", 99.into()),
            ("temperature", (-1).into()),
            ("temperature", 2.5.into()),
            ("top_logprobs", 3.into()),
            ("response_format", serde_json::json!({ "type": "json_object" })),
        ] {
            let error = chat(&serde_json::json!({ "messages": say, param: value })).unwrap_err();
            assert_eq!(error.body()["error"]["param"], param);
        }
    }

    #[test]
    fn neutral_values_unknown_fields_and_parts_of_text_are_taken() {
        let form = chat(&serde_json::json!({
            "messages": [
                { "role": "developer", "content": "be brief" },
                { "role": "user", "content": [{ "type": "text", "text": "hi" }] },
            ],
            "top_p": 1, "frequency_penalty": 0.0, "n": 2, "seed": -1, "user": "x", "stop": "a",
            "max_completion_tokens": 5, "something_new": {},
        }));
        let jobs = form.unwrap().jobs(Share::default()).unwrap();
        assert_eq!(jobs.len(), 2);
        assert_eq!([jobs[0].sampling.seed(), jobs[1].sampling.seed()], [u64::MAX, 0]);
        assert_eq!((jobs[0].max_tokens, jobs[0].stop.len()), (5, 1));
    }
}
