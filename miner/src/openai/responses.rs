//! `POST /v1/responses`: a chat's answer, told as a response.

use inference::Completion;
use openai_api::{
    FinishReason, Response, ResponseItem, ResponseText, ResponseUsage, Responses, ToolCall,
};
use serde_json::{Map, Value, json};

use super::{
    choice::Piece,
    error::ApiError,
    order::random,
    reply::{Answer, Said, value},
};

const COMPLETED: &str = "completed";
const INCOMPLETE: &str = "incomplete";
const IN_PROGRESS: &str = "in_progress";

/// The whole response.
pub(super) fn whole(answer: &Answer, asked: &Responses, said: Said, done: &Completion) -> Value {
    let status = status(said.finish);
    let mut output = Vec::new();
    if !said.text.is_empty() || said.calls.is_empty() {
        output.push(message(new_id("msg"), status, said.text));
    }
    output.extend(said.calls.into_iter().map(|call| function(new_id("fc"), status, call)));
    let echo = asked.echo.clone();
    value(&response(answer, &new_id("resp"), echo, said.finish, output, Some(done)))
}

fn new_id(kind: &str) -> String {
    format!("{kind}_{:016x}{:016x}", random(), random())
}

const fn status(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Length => INCOMPLETE,
        FinishReason::Stop | FinishReason::ToolCalls => COMPLETED,
    }
}

fn message(id: String, status: &str, text: String) -> ResponseItem {
    let content = if status == IN_PROGRESS { Vec::new() } else { vec![ResponseText::plain(text)] };
    ResponseItem::Message { id, status: status.to_owned(), role: "assistant".to_owned(), content }
}

fn function(id: String, status: &str, call: ToolCall) -> ResponseItem {
    let ToolCall { id: call_id, function, .. } = call;
    let (name, arguments) = (function.name, function.arguments);
    ResponseItem::FunctionCall { id, call_id, name, arguments, status: status.to_owned() }
}

fn response(
    answer: &Answer,
    id: &str,
    echo: Map<String, Value>,
    finish: FinishReason,
    output: Vec<ResponseItem>,
    done: Option<&Completion>,
) -> Response {
    let usage = done.map(|done| {
        let (prompt, cached) = (done.prompt_tokens.into(), done.cached_tokens.into());
        ResponseUsage::new(prompt, cached, done.token_ids.len() as u64)
    });
    let cut = (finish == FinishReason::Length).then(|| json!({ "reason": "max_output_tokens" }));
    Response {
        id: id.to_owned(),
        object: "response".to_owned(),
        created_at: answer.created,
        status: if done.is_some() { status(finish) } else { IN_PROGRESS }.to_owned(),
        error: None,
        incomplete_details: cut,
        model: answer.model.clone(),
        output,
        usage,
        echo,
    }
}

/// Tells a response event by event.
pub(super) struct Narrator {
    echo: Map<String, Value>,
    id: String,
    /// Number of the next event.
    sequence: u64,
    /// What was told in full.
    output: Vec<ResponseItem>,
    /// The message under way: its id and text.
    under_way: Option<(String, String)>,
    finish: FinishReason,
}

impl Narrator {
    pub(super) fn new(asked: &Responses) -> Self {
        Self {
            echo: asked.echo.clone(),
            id: new_id("resp"),
            sequence: 0,
            output: Vec::new(),
            under_way: None,
            finish: FinishReason::Stop,
        }
    }

    /// One event: its name is in its data, too.
    fn event(&mut self, name: &str, mut data: Value) -> String {
        data["type"] = name.into();
        data["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        format!("event: {name}\ndata: {data}\n\n")
    }

    fn response(&self, answer: &Answer, done: Option<&Completion>) -> Value {
        let (echo, output) = (self.echo.clone(), self.output.clone());
        value(&response(answer, &self.id, echo, self.finish, output, done))
    }

    pub(super) fn opening(&mut self, answer: &Answer) -> String {
        let response = json!({ "response": self.response(answer, None) });
        self.event("response.created", response.clone())
            + &self.event("response.in_progress", response)
    }

    pub(super) fn piece(&mut self, piece: Piece) -> String {
        match piece {
            Piece::Text { text, .. } if text.is_empty() => String::new(),
            Piece::Text { text, .. } => self.more(&text),
            Piece::Call(_, call) => self.end_message(COMPLETED) + &self.call(&call),
            Piece::End(finish) => {
                self.finish = finish;
                // An answer of nothing is a message all the same.
                let begun = if self.output.is_empty() { self.begin() } else { String::new() };
                begun + &self.end_message(status(finish))
            }
        }
    }

    /// Opens the message, where none is under way.
    fn begin(&mut self) -> String {
        if self.under_way.is_some() {
            return String::new();
        }
        let id = new_id("msg");
        self.under_way = Some((id.clone(), String::new()));
        let index = self.output.len();
        let item = value(&message(id.clone(), IN_PROGRESS, String::new()));
        let part = value(&ResponseText::plain(String::new()));
        self.event("response.output_item.added", json!({ "output_index": index, "item": item }))
            + &self.event(
                "response.content_part.added",
                json!({ "item_id": id, "output_index": index, "content_index": 0, "part": part }),
            )
    }

    fn more(&mut self, text: &str) -> String {
        let begun = self.begin();
        let index = self.output.len();
        let Some((id, so_far)) = &mut self.under_way else { return begun };
        so_far.push_str(text);
        let data = json!({ "item_id": id, "output_index": index, "content_index": 0,
                           "delta": text, "logprobs": [] });
        begun + &self.event("response.output_text.delta", data)
    }

    fn end_message(&mut self, status: &str) -> String {
        let Some((id, text)) = self.under_way.take() else { return String::new() };
        let index = self.output.len();
        let part = value(&ResponseText::plain(text.clone()));
        let item = message(id.clone(), status, text.clone());
        self.output.push(item.clone());
        self.event(
            "response.output_text.done",
            json!({ "item_id": id, "output_index": index, "content_index": 0, "text": text,
                    "logprobs": [] }),
        ) + &self.event(
            "response.content_part.done",
            json!({ "item_id": id, "output_index": index, "content_index": 0, "part": part }),
        ) + &self.event(
            "response.output_item.done",
            json!({ "output_index": index, "item": value(&item) }),
        )
    }

    fn call(&mut self, call: &ToolCall) -> String {
        let (id, index) = (new_id("fc"), self.output.len());
        let arguments = call.function.arguments.clone();
        let mut begun = call.clone();
        begun.function.arguments.clear();
        let opened = value(&function(id.clone(), IN_PROGRESS, begun));
        let item = function(id.clone(), COMPLETED, call.clone());
        self.output.push(item.clone());
        let at = |data: Value| {
            let mut data = data;
            data["item_id"] = id.as_str().into();
            data["output_index"] = index.into();
            data
        };
        self.event("response.output_item.added", json!({ "output_index": index, "item": opened }))
            + &self
                .event("response.function_call_arguments.delta", at(json!({ "delta": arguments })))
            + &self.event(
                "response.function_call_arguments.done",
                at(json!({ "name": call.function.name, "arguments": arguments })),
            )
            + &self.event(
                "response.output_item.done",
                json!({ "output_index": index, "item": value(&item) }),
            )
    }

    pub(super) fn closing(&mut self, answer: &Answer, done: &[Completion]) -> String {
        let name = match self.finish {
            FinishReason::Length => "response.incomplete",
            FinishReason::Stop | FinishReason::ToolCalls => "response.completed",
        };
        let response = self.response(answer, done.first());
        self.event(name, json!({ "response": response }))
    }

    pub(super) fn fail(&mut self, error: &ApiError) -> String {
        let mut data = value(&error.body().error);
        if let Some(map) = data.as_object_mut() {
            // The event's own type takes the place of the error's.
            map.remove("type");
        }
        self.event("error", data)
    }
}
