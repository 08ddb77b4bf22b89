//! Fields that clients know from the API or from other servers and that are not done here. Each is
//! taken where it says what happens anyway, and refused by name where it would change the answer.

use serde_json::Value;

use crate::Fault;

/// A field that is not done.
pub(crate) struct Refused {
    pub(crate) name: &'static str,
    /// Values that ask for what happens anyway.
    neutral: &'static [Neutral],
    why: &'static str,
}

/// A value that asks for what happens anyway.
#[derive(Clone, Copy)]
enum Neutral {
    Is(bool),
    Number(f64),
    Text(&'static str),
    /// An empty text, list or object.
    Empty,
    /// Any text: it says who asks, not what.
    AnyText,
    /// Any object.
    AnyObject,
    /// A list of this text alone.
    Only(&'static str),
}

impl Neutral {
    fn covers(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Is(on), Value::Bool(value)) => on == *value,
            (Self::Number(number), value) => {
                value.as_f64().is_some_and(|value| (value - number).abs() == 0.0)
            }
            (Self::Text(text), Value::String(value)) => text == value,
            (Self::Empty, Value::String(text)) => text.is_empty(),
            (Self::Empty | Self::AnyObject, Value::Object(map)) if map.is_empty() => true,
            (Self::Empty, Value::Array(items)) => items.is_empty(),
            (Self::AnyText, Value::String(_)) | (Self::AnyObject, Value::Object(_)) => true,
            (Self::Only(text), Value::Array(items)) => {
                matches!(&items[..], [Value::String(item)] if item == text)
            }
            _ => false,
        }
    }
}

impl Refused {
    /// Takes a neutral value of the field and refuses any other.
    pub(crate) fn check(&self, path: &str, value: &Value) -> Result<(), Fault> {
        if self.neutral.iter().any(|neutral| neutral.covers(value)) {
            return Ok(());
        }
        Err(Fault::unsupported(path, self.why))
    }
}

const fn no(name: &'static str, neutral: &'static [Neutral], why: &'static str) -> Refused {
    Refused { name, neutral, why }
}

const OFF: &[Neutral] = &[Neutral::Is(false)];
const ON: &[Neutral] = &[Neutral::Is(true)];
const ZERO: &[Neutral] = &[Neutral::Number(0.0)];
const ONE: &[Neutral] = &[Neutral::Number(1.0)];
const EMPTY: &[Neutral] = &[Neutral::Empty];
const WHO: &[Neutral] = &[Neutral::AnyText];

const SAMPLER: &str = "tokens are drawn by gumbel-v2, which has temperature, top_p, top_k, min_p, \
                       frequency_penalty, presence_penalty, repetition_penalty, logit_bias and seed";
const GRAMMAR: &str = "answers are held to a JSON schema, a regex or a choice: send \
                       'response_format', 'guided_json', 'guided_regex' or 'guided_choice'";

/// What chats, completions and responses have in common.
pub(crate) const SHARED: &[Refused] = &[
    // Of the API itself.
    no("user", WHO, "it is a text that says who asks"),
    no("safety_identifier", WHO, "it is a text that says who asks"),
    no("prompt_cache_key", WHO, "it is a text; prefixes are shared between all requests"),
    no(
        "prompt_cache_retention",
        &[Neutral::Text("in_memory"), Neutral::Text("in-memory")],
        "prefixes are kept in memory while there is room",
    ),
    no("prompt_cache_options", EMPTY, "prefixes are kept in memory while there is room"),
    no("metadata", &[Neutral::AnyObject], "it is an object of texts, and nothing is stored"),
    no("store", OFF, "nothing is stored"),
    no(
        "service_tier",
        &[Neutral::Text("auto"), Neutral::Text("default")],
        "there is one tier, 'default'",
    ),
    no("moderation", EMPTY, "nothing is moderated here"),
    // Of other servers: sampling.
    no("repeat_penalty", ONE, "'repetition_penalty' is its name here"),
    no("repeat_last_n", &[], SAMPLER),
    no("typical_p", ONE, SAMPLER),
    no("typ_p", ONE, SAMPLER),
    no("tfs_z", ONE, SAMPLER),
    no("top_a", ZERO, SAMPLER),
    no("top_n_sigma", &[Neutral::Number(-1.0), Neutral::Number(0.0)], SAMPLER),
    no("eta_cutoff", ZERO, SAMPLER),
    no("epsilon_cutoff", ZERO, SAMPLER),
    no("smoothing_factor", ZERO, SAMPLER),
    no("smoothing_curve", ONE, SAMPLER),
    no("no_repeat_ngram_size", ZERO, SAMPLER),
    no("encoder_repetition_penalty", ONE, SAMPLER),
    no("dynatemp_range", ZERO, SAMPLER),
    no("dynatemp_exponent", ONE, SAMPLER),
    no("dynamic_temperature", OFF, SAMPLER),
    no("temperature_last", OFF, SAMPLER),
    no("mirostat", ZERO, SAMPLER),
    no("mirostat_mode", ZERO, SAMPLER),
    no("mirostat_tau", &[], SAMPLER),
    no("mirostat_eta", &[], SAMPLER),
    no("dry_multiplier", ZERO, SAMPLER),
    no("dry_base", &[], SAMPLER),
    no("dry_allowed_length", &[], SAMPLER),
    no("dry_penalty_last_n", &[], SAMPLER),
    no("dry_sequence_breakers", EMPTY, SAMPLER),
    no("xtc_probability", ZERO, SAMPLER),
    no("xtc_threshold", &[], SAMPLER),
    no("samplers", &[], SAMPLER),
    no("sampler_seed", &[], "'seed' is its name here"),
    no("logits_processors", EMPTY, SAMPLER),
    no("do_sample", ON, "send 'temperature': 0 for the likeliest token"),
    no("use_beam_search", OFF, "tokens are drawn one after the other"),
    no("num_beams", ONE, "tokens are drawn one after the other"),
    no("beam_width", ONE, "tokens are drawn one after the other"),
    no("length_penalty", ONE, "it is of beam search, which is not done"),
    no("early_stopping", OFF, "it is of beam search, which is not done"),
    no("diversity_penalty", ZERO, "it is of beam search, which is not done"),
    // Which tokens, and where it ends.
    no("stop_token_ids", EMPTY, "send texts in 'stop'"),
    no("include_stop_str_in_output", OFF, "a stop text is cut off"),
    no("min_tokens", ZERO, "send 'ignore_eos' to go on to 'max_tokens'"),
    no("min_length", ZERO, "send 'ignore_eos' to go on to 'max_tokens'"),
    no("max_new_tokens", &[], "'max_tokens' is its name here"),
    no("n_predict", &[], "'max_tokens' is its name here"),
    no("max_length", &[], "'max_tokens' is its name here"),
    no("max_time", &[], "the server's settings bound the time"),
    no("bad_words", EMPTY, "send token ids in 'logit_bias'"),
    no("allowed_token_ids", EMPTY, "send token ids in 'logit_bias'"),
    no("skip_special_tokens", ON, "special tokens are no text"),
    no(
        "spaces_between_special_tokens",
        &[Neutral::Is(true), Neutral::Is(false)],
        "no text has any",
    ),
    no("detokenize", ON, "send 'return_token_ids' for ids beside the text"),
    // Held to a form.
    no("guided_grammar", EMPTY, GRAMMAR),
    no("guided_decoding_backend", WHO, "it is a text"),
    no("guided_whitespace_pattern", &[], GRAMMAR),
    no("grammar", EMPTY, GRAMMAR),
    no("ebnf", EMPTY, GRAMMAR),
    no("regex", EMPTY, "'guided_regex' is its name here"),
    no("json_schema", &[], "it belongs into 'response_format'"),
    no("structural_tag", EMPTY, GRAMMAR),
    // The prompt.
    no("truncate_prompt_tokens", &[], "a prompt that is too long is refused, not cut"),
    no("prompt_logprobs", &[], "send token ids to /v1/score"),
    no("mm_processor_kwargs", EMPTY, "only text is read"),
    no("media_io_kwargs", EMPTY, "only text is read"),
    no("prompt_embeds", EMPTY, "only text and token ids are read"),
    no("images", EMPTY, "only text is read"),
    // Where and how it is served.
    no("return_tokens_as_token_ids", OFF, "send 'return_token_ids' for ids beside the text"),
    no("return_prompt_token_ids", OFF, "send 'return_token_ids'"),
    no("n_probs", ZERO, "'top_logprobs' is its name here"),
    no("priority", ZERO, "callers share the engine by what is due to them"),
    no("request_id", WHO, "it is a text"),
    no("cache_salt", WHO, "it is a text"),
    no("cache_prompt", ON, "prefixes are shared between all requests"),
    no("id_slot", &[Neutral::Number(-1.0)], "the scheduler chooses"),
    no("n_keep", ZERO, "nothing of a prompt is dropped"),
    no("n_cache_reuse", ZERO, "prefixes are shared between all requests"),
    no("lora", EMPTY, "one model is served, as its id says"),
    no("lora_request", EMPTY, "one model is served, as its id says"),
    no("kv_transfer_params", EMPTY, "the engine keeps its keys and values"),
    no("vllm_xargs", EMPTY, "they are of another server"),
    no("provider", EMPTY, "this server answers itself"),
    no("models", EMPTY, "send one 'model'"),
    no("route", &[], "this server answers itself"),
    no("transforms", EMPTY, "the prompt is taken as it is"),
    no("plugins", EMPTY, "there are none"),
    no("usage", EMPTY, "usage is in every answer"),
    no("timings_per_token", OFF, "they are not measured"),
    no("post_sampling_probs", OFF, "log-probabilities are those of the model"),
];

/// Of chats alone.
pub(crate) const CHAT: &[Refused] = &[
    no("audio", EMPTY, "only text is generated"),
    no("modalities", &[Neutral::Only("text"), Neutral::Empty], "only text is generated"),
    no("prediction", EMPTY, "nothing is predicted"),
    no("verbosity", &[Neutral::Text("medium")], "ask for it in the prompt"),
    no("web_search_options", &[], "nothing is searched"),
    no("functions", EMPTY, "it is deprecated: send 'tools'"),
    no("function_call", &[Neutral::Text("auto")], "it is deprecated: send 'tool_choice'"),
    no("chat_template", &[], "the model's own is used"),
    no("chat_template_path", &[], "the model's own is used"),
    no("add_generation_prompt", ON, "the answer is a new message"),
    no("continue_final_message", OFF, "the answer is a new message: use /v1/completions"),
    no("add_special_tokens", OFF, "the template says which there are"),
    no("documents", EMPTY, "put them into a message"),
    no("echo", OFF, "the answer is a new message"),
    no("thinking", &[], "send 'chat_template_kwargs': {\"enable_thinking\": false}"),
    no("enable_thinking", &[], "send 'chat_template_kwargs': {\"enable_thinking\": false}"),
    no("thinking_budget", &[], "'max_completion_tokens' bounds the whole answer"),
    no("reasoning", EMPTY, "what the model thinks is part of its text"),
    no("include_reasoning", ON, "what the model thinks is part of its text"),
    no("separate_reasoning", OFF, "what the model thinks is part of its text"),
    no("reasoning_format", &[Neutral::Text("none")], "what the model thinks is part of its text"),
    no("parse_tool_calls", ON, "calls are always parsed"),
    no("safe_prompt", OFF, "the prompt is taken as it is"),
    no("prompt", &[], "a chat has 'messages': /v1/completions takes prompts"),
    no("prompt_mode", &[], "ask for it in the prompt"),
    no("best_of", ONE, "every completion is returned: send 'n'"),
];

/// Of completions alone.
pub(crate) const COMPLETION: &[Refused] = &[
    no("echo", OFF, "send token ids to /v1/score instead"),
    no("suffix", EMPTY, "text is only continued"),
    no("messages", &[], "a completion has a 'prompt': /v1/chat/completions takes messages"),
    no("add_special_tokens", ON, "the tokenizer says which there are"),
    no("tools", EMPTY, "/v1/chat/completions takes tools"),
    no("tool_choice", &[Neutral::Text("none")], "/v1/chat/completions takes tools"),
    no("max_completion_tokens", &[], "'max_tokens' is its name here"),
    no("top_logprobs", ZERO, "'logprobs' is a number here"),
    no("input_prefix", EMPTY, "text is only continued"),
    no("input_suffix", EMPTY, "text is only continued"),
];

/// Of the options of a stream.
pub(crate) const STREAM: &[Refused] = &[
    no("include_obfuscation", OFF, "nothing is padded"),
    no("continuous_usage_stats", OFF, "usage is in the last chunk: send 'include_usage'"),
];

/// Of one message.
pub(crate) const MESSAGE: &[Refused] = &[
    no("audio", EMPTY, "only text is read"),
    no("refusal", EMPTY, "send it as 'content'"),
    no("function_call", EMPTY, "it is deprecated: send 'tool_calls'"),
    no("annotations", EMPTY, "only text is read"),
    no("prefix", OFF, "the answer is a new message: use /v1/completions"),
    no("reasoning", &[Neutral::Empty], "send it as 'reasoning_content'"),
    no("images", EMPTY, "only text is read"),
    no("cache_control", &[Neutral::AnyObject], "prefixes are shared between all requests"),
];

/// Of responses alone.
pub(crate) const RESPONSES: &[Refused] = &[
    no("background", OFF, "an answer comes on its request"),
    no("background_options", EMPTY, "an answer comes on its request"),
    no("access_programs", EMPTY, "there are none here"),
    no("image", EMPTY, "only text is generated"),
    no("conversation", EMPTY, "nothing is stored: send the whole 'input'"),
    no("previous_response_id", EMPTY, "nothing is stored: send the whole 'input'"),
    no("include", EMPTY, "there is nothing more to include"),
    no("max_tool_calls", &[], "no tool is run here"),
    no("prompt", EMPTY, "there are no stored prompts: send 'input'"),
    no("reasoning", EMPTY, "what the model thinks is part of its text"),
    no("truncation", &[Neutral::Text("disabled")], "what is too long is refused, not cut"),
    no("context_management", EMPTY, "what is too long is refused, not cut"),
    no("top_logprobs", ZERO, "/v1/chat/completions has them"),
    no("messages", &[], "a response has 'input'"),
    no("max_tokens", &[], "'max_output_tokens' is its name here"),
];

/// Of the text options of a response.
pub(crate) const RESPONSE_TEXT: &[Refused] =
    &[no("verbosity", &[Neutral::Text("medium")], "ask for it in the prompt")];
