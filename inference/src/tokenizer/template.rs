//! Chat templates, rendered as `transformers` renders them: Jinja with Python's string methods,
//! `tojson` as Python's `json.dumps`, and values printed as Python prints them.

use std::fmt;

use minijinja::{Environment, ErrorKind, Value, context, value::Kwargs};

use super::{
    TokenizerError,
    chat::{Chat, Json},
    python,
};

/// A model's chat templates; the one called `default` serves chats without tools.
pub(super) struct Templates {
    environment: Environment<'static>,
    special: Specials,
    has_tool_use: bool,
}

/// Special tokens by name (`bos_token`), as templates print them.
pub(super) type Specials = Vec<(String, String)>;

/// Name of the template for chats without tools, or for all.
const DEFAULT: &str = "default";

/// Name of the template that some models have for chats with tools.
const TOOL_USE: &str = "tool_use";

/// What a template calls by a name that no argument of a request may take.
const RESERVED: [&str; 3] = ["messages", "tools", "add_generation_prompt"];

/// Instructions of the template engine that one chat may take: a loop over the longest chat takes
/// less than a hundredth.
const FUEL: u64 = 20_000_000;

/// The error's own text, where a template raises one.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

impl Templates {
    /// Compiles named templates. `None` where there is none.
    pub(super) fn new(
        named: Vec<(String, String)>,
        special: Specials,
    ) -> Result<Option<Self>, TokenizerError> {
        if named.is_empty() {
            return Ok(None);
        }
        let mut environment = environment();
        let single = named.len() == 1;
        let has_tool_use = !single && named.iter().any(|(name, _)| name == TOOL_USE);
        for (name, text) in named {
            let name = if single { DEFAULT.to_owned() } else { name };
            let text = without_generation_tags(&text);
            environment.add_template_owned(name, text).map_err(|error| failed(&error))?;
        }
        if environment.get_template(DEFAULT).is_err() {
            return Err(TokenizerError::NoDefaultTemplate);
        }
        Ok(Some(Self { environment, special, has_tool_use }))
    }

    /// The chat's text.
    pub(super) fn render(&self, chat: &Chat) -> Result<String, TokenizerError> {
        let named = |name: &str| chat.arguments.iter().any(|(argument, _)| argument == name);
        if let Some(name) = RESERVED.into_iter().find(|name| named(name)) {
            return Err(TokenizerError::ReservedArgument(name));
        }
        let with_tools = self.has_tool_use && !chat.tools.is_empty();
        let name = if with_tools { TOOL_USE } else { DEFAULT };
        let template = self.environment.get_template(name).map_err(|error| failed(&error))?;
        let tools = (!chat.tools.is_empty()).then(|| Value::from_serialize(&chat.tools));
        let specials = self.special.iter().map(|(name, text)| (name.as_str(), Value::from(text)));
        let arguments = chat.arguments.iter().map(|(name, json)| (name.as_str(), json.value()));
        let named: Value = specials.chain(arguments).collect();
        let text = template.render(context! {
            messages => chat.messages_for_templates(),
            tools => tools.unwrap_or(Value::from(())),
            documents => Value::from(()),
            add_generation_prompt => !chat.continues,
            ..named
        });
        let text = text.map_err(|error| failed(&error))?;
        if chat.continues { cut_after_last(text, chat) } else { Ok(text) }
    }

    /// Renders the plainest chat there is, to see that a template does.
    pub(super) fn rehearse(&self) -> Result<String, TokenizerError> {
        let hello = Json::from(serde_json::json!({ "role": "user", "content": "Hello" }));
        self.render(&Chat { messages: vec![hello], ..Chat::default() })
    }
}

/// The text up to the end of the last message, which the model is to continue.
fn cut_after_last(mut text: String, chat: &Chat) -> Result<String, TokenizerError> {
    let last = chat.messages.last().and_then(|message| message.get_text("content"));
    let content = last.as_deref().map(str::trim).filter(|content| !content.is_empty());
    let place = content.and_then(|content| text.rfind(content).map(|at| at + content.len()));
    let Some(end) = place else { return Err(TokenizerError::NothingToContinue) };
    text.truncate(end);
    Ok(text)
}

/// What went wrong, in the template's own words where it raised the error itself.
fn failed(error: &minijinja::Error) -> TokenizerError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(raised) = inner.downcast_ref::<Raised>() {
            return TokenizerError::Raised(raised.0.clone());
        }
        cause = inner.source();
    }
    let detail = error.detail().unwrap_or_default();
    let reason = format!("{}{}{detail}", error.kind(), if detail.is_empty() { "" } else { ": " });
    TokenizerError::Template { line: error.line().unwrap_or(1), reason }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(python::print);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("strftime_now", |format: &str| python::strftime(format, now()));
    environment.add_function("raise_exception", |text: String| -> Result<String, _> {
        let error = minijinja::Error::new(ErrorKind::InvalidOperation, text.clone());
        Err(error.with_source(Raised(text)))
    });
    environment
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "templates print the date; nothing is decided by it")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[expect(clippy::needless_pass_by_value, reason = "filters take their options so")]
fn to_json(value: &Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let sorted: Option<bool> = options.get("sort_keys")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let style = python::Style {
        indent,
        separators: separators.and_then(|pair| <[String; 2]>::try_from(pair).ok()),
        sorted: sorted == Some(true),
        ascii: ascii == Some(true),
    };
    python::dumps(value, style).map(Value::from_safe_string)
}

/// `{% generation %}` marks what an assistant says for training; here it marks nothing. Lines stay.
fn without_generation_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        let sign = tag.len() - tag.trim_start_matches(['-', '+']).len();
        let body = tag[sign..].trim_start();
        let word: String = body.chars().take_while(char::is_ascii_alphabetic).collect();
        let instead = match word.as_str() {
            "generation" => "if true",
            "endgeneration" => "endif",
            other => other,
        };
        out.push_str(&tag[..tag.len() - body.len()]);
        out.push_str(instead);
        rest = &body[word.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
