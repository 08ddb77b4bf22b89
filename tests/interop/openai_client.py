"""The OpenAI surface, judged by the official client. usage: openai_client.py URL KEY"""

import json
import re
import sys
import typing

import openai
import pydantic
from openai.types.chat import completion_create_params

url, key = sys.argv[1:3]
client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
model = client.models.list().data[0].id
assert client.models.retrieve(model).id == model
say = [{"role": "user", "content": "Name three colours."}]


def refused(kind, code, call):
    try:
        call()
    except kind as error:
        assert error.code == code, (error.code, code)
    else:
        raise AssertionError(f"{code} was expected")


# A seed fixes the answer; usage adds up.
ask = dict(model=model, messages=say, max_completion_tokens=24, seed=7, temperature=1.0)
once = client.chat.completions.create(**ask)
again = client.chat.completions.create(**ask)
text = once.choices[0].message.content
assert text and text == again.choices[0].message.content
assert once.choices[0].finish_reason in ("stop", "length")
assert once.usage.total_tokens == once.usage.prompt_tokens + once.usage.completion_tokens
assert again.usage.prompt_tokens_details.cached_tokens >= 0
assert once.system_fingerprint

# A stream says the same, in order, and what it used at its end.
pieces, usage, finish = [], None, None
with client.chat.completions.create(
    **ask, stream=True, stream_options={"include_usage": True}
) as stream:
    for chunk in stream:
        if chunk.usage:
            usage = chunk.usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
assert "".join(pieces) == text and finish == once.choices[0].finish_reason
assert usage.completion_tokens == once.usage.completion_tokens

# Log-probabilities, and the likeliest tokens in order.
probed = client.chat.completions.create(**ask, logprobs=True, top_logprobs=3)
content = probed.choices[0].logprobs.content
assert len(content) == probed.usage.completion_tokens
for token in content:
    likely = [other.logprob for other in token.top_logprobs]
    assert token.logprob <= 0 and len(likely) == 3 and likely == sorted(likely, reverse=True)

# Several choices, stop texts, plain completions.
two = client.chat.completions.create(**{**ask, "n": 2})
assert [choice.index for choice in two.choices] == [0, 1]
assert two.choices[0].message.content == text
stop = text[len(text) // 2 :][:2]
cut = client.chat.completions.create(**ask, stop=[stop]).choices[0]
assert stop not in cut.message.content and text.startswith(cut.message.content)
plain = client.completions.create(
    model=model, prompt="one two three", max_tokens=8, temperature=0, logprobs=2
)
assert plain.choices[0].text and len(plain.choices[0].logprobs.tokens) == 8
assert all(len(top) <= 2 for top in plain.choices[0].logprobs.top_logprobs)

# Every documented field of chats has its row in the table of docs/openai.md, which is tested in Rust.
fields = typing.get_type_hints(completion_create_params.CompletionCreateParamsBase).keys()
rows = set(re.findall(r"^\| `(\w+)` \|", open("docs/openai.md").read(), re.MULTILINE))
missing = sorted(set(fields) - rows)
assert not missing, missing

# What shapes the distribution: fixed by the seed, and no other answer than it allows.
for shaping in (dict(top_p=0.5), dict(frequency_penalty=1.5), dict(presence_penalty=1.0),
                dict(logit_bias={"30": -100}), dict(extra_body={"top_k": 3, "min_p": 0.1})):
    first, second = (client.chat.completions.create(**ask, **shaping) for _ in range(2))
    assert first.choices[0].message.content == second.choices[0].message.content, shaping
greedy = client.chat.completions.create(**{**ask, "temperature": 0})
narrow = client.chat.completions.create(**ask, extra_body={"top_k": 1})
assert greedy.choices[0].message.content == narrow.choices[0].message.content

# Several choices count their prompt once.
assert two.usage.prompt_tokens == once.usage.prompt_tokens

# Structured output, parsed by the client's own helper.
class Colour(pydantic.BaseModel):
    name: typing.Literal["red", "green", "blue"]
    warm: bool


parsed = client.chat.completions.parse(
    model=model, messages=say, response_format=Colour, seed=3, max_completion_tokens=60
)
assert isinstance(parsed.choices[0].message.parsed, Colour)
anything = client.chat.completions.create(
    **{**ask, "max_completion_tokens": 200}, response_format={"type": "json_object"}
).choices[0]
assert anything.finish_reason == "length" or isinstance(json.loads(anything.message.content), dict)

# Tools: called with arguments that fit, whole and streamed, and what they answered is read.
weather = {"type": "function", "function": {
    "name": "weather", "description": "The weather of a city.",
    "parameters": {"type": "object", "required": ["city", "unit"], "additionalProperties": False,
                   "properties": {"city": {"type": "string", "maxLength": 20},
                                  "unit": {"enum": ["C", "F"]}}}}}
call_for = dict(model=model, messages=say, tools=[weather], seed=5, max_completion_tokens=120)
called = client.chat.completions.create(**call_for, tool_choice="required",
                                        parallel_tool_calls=False).choices[0]
assert called.finish_reason == "tool_calls" and called.message.content is None
call = called.message.tool_calls[0]
arguments = json.loads(call.function.arguments)
assert call.function.name == "weather" and arguments["unit"] in ("C", "F")
with client.chat.completions.stream(
    **call_for, tool_choice={"type": "function", "function": {"name": "weather"}},
    parallel_tool_calls=False,
) as stream:
    told = stream.get_final_completion().choices[0]
assert json.loads(told.message.tool_calls[0].function.arguments) == arguments
answered = say + [called.message.model_dump(exclude_none=True),
                  {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
assert client.chat.completions.create(**{**call_for, "messages": answered}).choices

# The newer API, whole and streamed.
response = client.responses.create(
    model=model, input="Name three colours.", max_output_tokens=24, extra_body={"seed": 7}
)
assert response.output_text == text and response.status in ("completed", "incomplete")
with client.responses.stream(model=model, input="Name three colours.", max_output_tokens=24,
                             extra_body={"seed": 7}) as stream:
    deltas = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
assert deltas == text
refused(openai.BadRequestError, "unsupported_parameter",
        lambda: client.responses.create(model=model, input="x", previous_response_id="r1"))

# Errors are the client's own exceptions.
refused(openai.NotFoundError, "model_not_found",
        lambda: client.chat.completions.create(model="gpt-9", messages=say))
refused(openai.BadRequestError, "unsupported_parameter",
        lambda: client.chat.completions.create(model=model, messages=say, store=True))
refused(openai.BadRequestError, "unknown_parameter",
        lambda: client.chat.completions.create(model=model, messages=say,
                                               extra_body={"no_such_field": 1}))
refused(openai.BadRequestError, "invalid_value",
        lambda: client.chat.completions.create(model=model, messages=say, temperature=-1))
refused(openai.BadRequestError, "context_length_exceeded",
        lambda: client.completions.create(model=model, prompt="word " * 60_000))
refused(openai.BadRequestError, "unsupported_model",
        lambda: client.embeddings.create(model=model, input="text"))
refused(openai.AuthenticationError, "invalid_api_key",
        lambda: client.with_options(api_key="wrong").models.list())

# Embeddings: as base64, which the client asks for by itself, and as numbers; beside the chat model.
encoder = next(m.id for m in client.models.list() if m.id != model)
texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "The stock market fell sharply."]
made = client.embeddings.create(model=encoder, input=texts)
cat, kitten, market = (entry.embedding for entry in made.data)
near = lambda a, b: sum(x * y for x, y in zip(a, b))
assert abs(near(cat, kitten) - 0.6654) < 1e-3 and abs(near(cat, market) - 0.0815) < 1e-3
assert abs(near(cat, cat) - 1) < 1e-5 and made.usage.prompt_tokens > 20
plainly = client.embeddings.create(model=encoder, input=texts[0], encoding_format="float")
assert max(abs(x - y) for x, y in zip(plainly.data[0].embedding, cat)) < 1e-6
refused(openai.BadRequestError, "unsupported_parameter",
        lambda: client.embeddings.create(model=encoder, input="text", dimensions=64))
refused(openai.BadRequestError, "context_length_exceeded",
        lambda: client.embeddings.create(model=encoder, input="word " * 600))
refused(openai.BadRequestError, "invalid_value",
        lambda: client.embeddings.create(model=encoder, input=["text", ""]))

# Scores: the model draws its own tokens, and no others.
raw = client.with_raw_response.chat.completions.create(
    **ask, extra_body={"return_token_ids": True}
).http_response.json()
body = {
    "prompt": raw["prompt_token_ids"], "token_ids": raw["choices"][0]["token_ids"],
    "temperature": 1.0, "seed": 7,
}
score = client.post("/score", body=body, cast_to=object)
assert all(token["token"] == token["seeded_token"] for token in score["tokens"])
identity = client.get("/identity", cast_to=object)
assert identity["model_id"] == score["model_id"] == once.system_fingerprint
print(f"the official client ({openai.__version__}) is served")
