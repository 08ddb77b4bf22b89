"""Vocabularies of GGUF files and the ids that llama.cpp (xllamacpp) gives for texts.

usage: token_corpus.py OUT.json     writes the cases that inference/tests/tokens.rs holds to
"""

import collections
import json
import socket
import sys
import tempfile
import urllib.request

import gguf
import numpy as np
import xllamacpp as llama

PRES = """llama-bpe llama3 falcon3 pixtral dbrx smaug-bpe glm4 chatglm-bpe qwen2 deepseek-r1-qwen megrez
stablelm2 hunyuan qwen35 tekken gpt-4o llama4 gpt-2 phi-2 mpt olmo jais trillion smollm starcoder refact
command-r codeshell exaone exaone4 minerva-7b falcon deepseek-llm deepseek-coder deepseek-v3 hunyuan-dense
poro-chat bloom gpt3-finnish viking bailingmoe seed-coder default""".split()

TEXTS = [
    "Hello world", "it's 2024, isn't it?\n\n  x = 10;", " leading and  double   spaces ",
    "I'LL don't WE'RE you'Ve", "1234567890 12 345,678.90", "Ünïcödé naïve Straße ΑΒΓ Ж", "日本語テスト 中文字符 한국어",
    "a\tb\r\nc\n\n\nd  \n e", "foo_bar(baz[0])->qux != $x ^ ~y | `z` <=>", "🙂 emoji 👩‍👩‍👧 flags 🇩🇪",
    "camelCaseHTTPServer aB ABc", "x/y//z\n/path", "Hi<|endoftext|>\n<think>so</think> <s> tail", "",
    "…。，、 mixed、punct। end", "can't've 3rd 4TH №5 ½ ²", "   ", "\n", "é e\u0301 \u0928\u092e\u0938\u094d\u0924\u0947",
]

TRAIN = " ".join(TEXTS) * 2 + """ The quick brown fox jumps over the lazy dog. It's 12345 and 67890, isn't it? We'll don't
    def f(x):\n        return x + 1\n\n日本語テスト 中文字符 한국어 한국어 Ünïcödé Straße 123 456 789 2024 2025"""


def letters():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    out, more = [], 0
    for byte in range(256):
        if byte in plain:
            out.append(chr(byte))
        else:
            out.append(chr(256 + more))
            more += 1
    return out


def merges(symbols, count):
    """Merges of the commonest pairs, over the whole text: they cross every place where words are cut."""
    found = []
    while len(found) < count:
        pairs = collections.Counter(zip(symbols, symbols[1:]))
        (a, b), most = max(pairs.items(), key=lambda item: (item[1], item[0]))
        if most < 2:
            break
        found.append((a, b))
        out, at = [], 0
        while at < len(symbols):
            if symbols[at : at + 2] == [a, b]:
                out.append(a + b)
                at += 2
            else:
                out.append(symbols[at])
                at += 1
        symbols = out
    return list(dict.fromkeys(found))


def byte_level():
    table = letters()
    pairs = merges([table[b] for b in TRAIN.encode()], 420)
    words = list(dict.fromkeys(table + [a + b for a, b in pairs]))
    special = {"<|endoftext|>": 3, "<think>": 4, "</think>": 4, "<s>": 3, "<unk>": 2}
    return dict(model="gpt2", tokens=words + list(special), kinds=[1] * len(words) + list(special.values()),
                merges=[f"{a} {b}" for a, b in pairs], bos=len(words) + 3, eos=len(words), unk=len(words) + 4)


def sentencepiece(model):
    text = TRAIN.replace("\n", " ").replace(" ", "▁")
    pairs = merges(list(text), 300)
    special = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
    bytes_ = [(f"<0x{b:02X}>", 6) for b in range(256)]
    words = list(dict.fromkeys([a + b for a, b in pairs] + sorted(set(text))))
    more = [("<think>", 4), ("</think>", 4), ("<|endoftext|>", 3)]
    if model == "t5":
        special, bytes_ = [("<pad>", 3), ("</s>", 3), ("<unk>", 2)], []
    tokens = special + bytes_ + [(w, 1) for w in words] + more
    first = len(special) + len(bytes_)
    scale = 1.0 if model == "llama" else 0.02
    scores = [0.0] * first + [-scale * (i + (8 if model == "t5" else 1)) for i in range(len(words))] + [0.0] * len(more)
    return dict(model=model, tokens=[t for t, _ in tokens], kinds=[k for _, k in tokens], scores=scores,
                bos=1 if model == "llama" else None, eos=2 if model == "llama" else 1,
                unk=0 if model == "llama" else 2)


def write(vocabulary, settings, path):
    writer = gguf.GGUFWriter(path, "llama")
    for name, number in dict(context_length=512, embedding_length=32, block_count=1, feed_forward_length=32).items():
        writer.add_uint32(f"llama.{name}", number)
    writer.add_uint32("llama.attention.head_count", 2)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_string("tokenizer.ggml.model", vocabulary["model"])
    writer.add_token_list(vocabulary["tokens"])
    writer.add_token_types(vocabulary["kinds"])
    if "merges" in vocabulary:
        writer.add_token_merges(vocabulary["merges"])
    if "scores" in vocabulary:
        writer.add_token_scores(vocabulary["scores"])
    for name, key in dict(bos="bos_token_id", eos="eos_token_id", unk="unknown_token_id").items():
        if vocabulary[name] is not None:
            writer.add_uint32(f"tokenizer.ggml.{key}", vocabulary[name])
    for key, value in settings.items():
        (writer.add_bool if isinstance(value, bool) else writer.add_string)(key, value)
    ones, square = np.ones(32, np.float32), np.zeros((32, 32), np.float32)
    writer.add_tensor("token_embd.weight", np.zeros((len(vocabulary["tokens"]), 32), np.float32))
    writer.add_tensor("output_norm.weight", ones)
    for part in ["attn_norm", "ffn_norm"]:
        writer.add_tensor(f"blk.0.{part}.weight", ones)
    for part in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        writer.add_tensor(f"blk.0.{part}.weight", square)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def ids(path, texts):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    params = llama.CommonParams()
    params.model.path, params.port = path, port
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads, params.warmup = 256, 1, 1, False
    server = llama.Server(params)
    out = []
    for text in texts:
        body = json.dumps(dict(content=text, add_special=True, parse_special=True)).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/tokenize", body, {"Content-Type": "application/json"})
        out.append(json.load(urllib.request.urlopen(request))["tokens"])
    del server
    return out


def main():
    vocabularies = dict(bpe=byte_level(), spm=sentencepiece("llama"), unigram=sentencepiece("t5"))
    settings = [("bpe", {"tokenizer.ggml.pre": pre}) for pre in PRES]
    bos = "tokenizer.ggml.add_bos_token"
    settings += [
        ("bpe", {}),
        ("bpe", {"tokenizer.ggml.pre": "llama-bpe", bos: False}),
        ("bpe", {"tokenizer.ggml.pre": "qwen2", bos: True}),
        ("bpe", {"tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.add_eos_token": True}),
        ("spm", {}),
        ("spm", {bos: False}),
        ("spm", {"tokenizer.ggml.add_space_prefix": False}),
        ("spm", {"tokenizer.ggml.add_eos_token": True}),
        ("spm", {"general.name": "Phi-3 mini"}),
        ("unigram", {"tokenizer.ggml.add_space_prefix": True, "tokenizer.ggml.remove_extra_whitespaces": True}),
        ("unigram", {"tokenizer.ggml.add_eos_token": False}),
    ]
    cases = []
    for vocabulary, said in settings:
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/m.gguf"
            write(vocabularies[vocabulary], said, path)
            cases.append(dict(vocabulary=vocabulary, settings=said, ids=ids(path, TEXTS)))
    with open(sys.argv[1], "w") as file:
        json.dump(dict(vocabularies=vocabularies, texts=TEXTS, cases=cases), file, separators=(",", ":"))
    print(len(cases), "cases")


main()
