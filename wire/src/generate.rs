//! The messages of the `serve` rule: a prompt with a seed, and the tokens that the seed determines.
//!
//! JSON over `POST` [`PATH`]. Unknown and repeated fields are refused, and numbers that a model
//! cannot use (`1e999`, a negative temperature) never become values.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Where a miner takes [`GenerateRequest`]s.
pub const PATH: &str = "/v1/generate";

/// Highest temperature accepted: far beyond it every token is as likely as any other.
pub const MAX_TEMPERATURE: f32 = 10.0;

/// Most tokens that one request may ask for.
pub const MAX_TOKENS: u32 = 4096;

/// Longest prompt, in bytes: what a long context holds, well inside the body cap.
pub const MAX_PROMPT_BYTES: usize = 256 * 1024;

/// A prompt, and everything that determines its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    /// The model meant, as its id is written; `None` takes whatever is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the user says; the chat template is the model's.
    #[serde(deserialize_with = "prompt")]
    pub prompt: String,
    /// Tokens to generate, 1 to [`MAX_TOKENS`].
    #[serde(deserialize_with = "max_tokens")]
    pub max_tokens: u32,
    /// 0 (greedy) to [`MAX_TEMPERATURE`].
    #[serde(deserialize_with = "temperature")]
    pub temperature: f32,
    /// The seed of `gumbel-v1` sampling.
    pub seed: u64,
    /// Whether to send evidence along.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evidence: bool,
}

/// What the miner says it generated. All of it is claimed: nothing here is evidence by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateReply {
    /// The id of the model that the miner says it ran.
    pub model: String,
    /// The tokens generated, in order.
    pub token_ids: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Why generation ended.
    pub finish: Finish,
    /// Tokens of the prompt after the template.
    pub prompt_tokens: u32,
    /// Where asked for: the answer as an auditor's tool reads it, signed by the miner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<serde_json::Value>,
}

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended its answer.
    Stop,
    /// The request's `max_tokens` were used up.
    Length,
}

fn prompt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let prompt = String::deserialize(deserializer)?;
    if prompt.len() > MAX_PROMPT_BYTES {
        return Err(D::Error::custom(format_args!(
            "a prompt of {} bytes; at most {MAX_PROMPT_BYTES}",
            prompt.len()
        )));
    }
    Ok(prompt)
}

fn max_tokens<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let tokens = u32::deserialize(deserializer)?;
    if (1..=MAX_TOKENS).contains(&tokens) {
        Ok(tokens)
    } else {
        Err(D::Error::custom(format_args!("max_tokens {tokens} is not in 1..={MAX_TOKENS}")))
    }
}

fn temperature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let temperature = f32::deserialize(deserializer)?;
    if (0.0..=MAX_TEMPERATURE).contains(&temperature) {
        Ok(temperature)
    } else {
        Err(D::Error::custom(format_args!(
            "temperature {temperature} is not in 0..={MAX_TEMPERATURE}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str =
        r#"{"prompt":"hi","max_tokens":8,"temperature":0.5,"seed":18446744073709551615}"#;

    #[test]
    fn a_request_survives_the_wire() {
        let request: GenerateRequest = serde_json::from_str(REQUEST).unwrap();
        assert_eq!(request.seed, u64::MAX);
        assert_eq!(serde_json::to_string(&request).unwrap(), REQUEST);
    }

    #[test]
    fn numbers_no_model_can_use_are_refused() {
        for (good, bad) in [
            ("0.5", "1e999"),
            ("0.5", "NaN"),
            ("0.5", "-0.1"),
            ("0.5", "null"),
            (":8", ":0"),
            (":8", ":4097"),
            (":8", ":1e3"),
            (r#""hi""#, r#""hi","prompt":"ho""#),
            (r#""seed""#, r#""sneed""#),
        ] {
            let text = REQUEST.replacen(good, bad, 1);
            assert!(serde_json::from_str::<GenerateRequest>(&text).is_err(), "{text}");
        }
    }
}
