"""A miner before llama.cpp's server, judged by the official client.
usage: backend_client.py URL   (of a miner with two backends, of which one never answers)"""

import sys

import openai

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0)
model = client.models.list().data[0].id
assert client.models.retrieve(model).id == model
say = [{"role": "user", "content": "Name three colours."}]
for _ in range(3):
    answer = client.chat.completions.create(model=model, messages=say, max_tokens=16)
    assert answer.choices[0].message.content and answer.usage.completion_tokens > 0
pieces = client.chat.completions.create(model=model, messages=say, max_tokens=16, stream=True)
assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in pieces) > 1
assert client.get("/identity", cast_to=object)["evidence"] == []
print("llama.cpp's server is served through the miner")
