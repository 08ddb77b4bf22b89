"""Small random models of every family, and what `transformers` computes of them in float64.

usage: model_corpus.py OUT.json         writes the cases that inference/tests/corpus.rs holds to
       model_corpus.py --llama OUT.json holds llama.cpp (xllamacpp) to the same, on the GGUF cases

A case lists tensors by name, shape and how they are made, so that the Rust test makes the same files:
value i of a tensor is `offset + scale·u` with u in [−1, 1) from SplitMix64 begun at FNV-1a of its name.
"""

import json
import math
import sys
import tempfile

import numpy as np

PROMPT = [(7 * i * i + 31 * i + 5) % 250 for i in range(44)]
BASE = dict(
    hidden_size=64, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=96, vocab_size=257, max_position_embeddings=256, bos_token_id=None,
    eos_token_id=256, pad_token_id=None,
)
MASK = (1 << 64) - 1


def noise(name, count):
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) & MASK
    out = np.empty(count)
    for i in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out[i] = ((z ^ (z >> 31)) >> 48) / 32768 - 1
    return out


def recipe(name, shape, norms_less_one):
    """Scale and offset of a tensor's values."""
    if name.endswith("norm.weight") or "layernorm" in name:
        return 0.3, 0.0 if norms_less_one else 1.0
    if name.endswith("bias"):
        return 0.4, 0.0
    if "embed_tokens" in name:
        return 1.0, 0.0
    return math.sqrt(3 / shape[-1]) * (3.0 if "lm_head" in name else 1.5), 0.0


def value(spec):
    name, shape, scale, offset = spec["name"], spec["shape"], spec["scale"], spec["offset"]
    flat = offset + scale * noise(name, math.prod(shape))
    return flat.astype(np.float32).reshape(shape)


def hub_case(name, model_type, drop=(), raw=None, **over):
    """One model as `transformers` makes it: `raw` replaces fields of the written config.json."""
    import torch
    from safetensors import safe_open
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    fields = {**BASE, **over}
    config = AutoConfig.for_model(model_type, **fields)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        text = json.load(open(folder + "/config.json"))
        with safe_open(folder + "/model.safetensors", "np") as file:
            shapes = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}
        less_one = model_type.startswith("gemma")
        tensors = []
        for key in sorted(shapes):
            scale, offset = recipe(key, shapes[key], less_one)
            tensors.append(dict(name=key, shape=shapes[key], scale=scale, offset=offset))
        from safetensors.numpy import save_file
        save_file({t["name"]: value(t) for t in tensors}, folder + "/model.safetensors",
                  metadata={"format": "pt"})
        model = AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation="eager", experts_implementation="eager", dtype=torch.float64)
    model.eval()
    with torch.no_grad():
        logits = model(torch.tensor([PROMPT])).logits[0].double()
    logprobs = torch.log_softmax(logits, -1)
    top = logits.topk(2, -1)
    text.pop("transformers_version", None)
    for field in drop:
        text.pop(field, None)
    text.update(raw or {})
    return dict(
        name=name, container="hub", config=text, tensors=tensors,
        greedy=top.indices[:-1, 0].tolist(),
        gaps=[round(float(a - b), 5) for a, b in top.values[:-1]],
        logprobs=[round(float(logprobs[i, PROMPT[i + 1]]), 6) for i in range(len(PROMPT) - 1)],
    )


LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=32.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)
PHI = dict(pad_token_id=0, tie_word_embeddings=False)


def hub_cases():
    yield hub_case("llama", "llama")
    yield hub_case("llama, theta of its own in rope_parameters", "llama",
                   rope_parameters=dict(rope_type="default", rope_theta=500000.0))
    yield hub_case("llama, as transformers 4 writes it", "llama", drop=["rope_parameters"],
                   raw=dict(rope_theta=10000.0, rope_scaling=None))
    yield hub_case("llama, null theta", "llama", drop=["rope_parameters"], raw=dict(rope_theta=None))
    yield hub_case("llama, llama3 in rope_parameters", "llama", rope_parameters=LLAMA3)
    scaling = {k: v for k, v in LLAMA3.items() if k != "rope_theta"}
    yield hub_case("llama, llama3 in rope_scaling", "llama", rope_parameters=LLAMA3,
                   drop=["rope_parameters"], raw=dict(rope_theta=500000.0, rope_scaling=scaling))
    yield hub_case("llama, yarn", "llama", rope_parameters=YARN)
    yield hub_case("llama, yarn with numbers of its own", "llama", rope_parameters=dict(
        YARN, beta_fast=16.0, beta_slow=2.0, attention_factor=1.3))
    yield hub_case("llama, yarn with mscale", "llama", rope_parameters=dict(
        YARN, mscale=1.0, mscale_all_dim=0.5))
    linear = dict(rope_type="linear", rope_theta=10000.0, factor=4.0)
    yield hub_case("llama, linear", "llama", rope_parameters=linear)
    yield hub_case("llama, linear by one", "llama", rope_parameters=dict(linear, factor=1.0))
    yield hub_case("llama, dynamic", "llama", rope_parameters=dict(linear, rope_type="dynamic"))
    yield hub_case("llama, attention_bias", "llama", attention_bias=True)
    yield hub_case("llama, mlp_bias", "llama", mlp_bias=True)
    for act in ["relu", "gelu", "gelu_pytorch_tanh", "gelu_new", "swish"]:
        yield hub_case(f"llama, hidden_act {act}", "llama", hidden_act=act)
    yield hub_case("llama, head_dim of its own", "llama", head_dim=32)
    yield hub_case("llama, one key head", "llama", num_key_value_heads=1)
    yield hub_case("llama, tied", "llama", tie_word_embeddings=True)
    yield hub_case("mistral, no window", "mistral", sliding_window=None)
    yield hub_case("mistral, window", "mistral", sliding_window=9)
    yield hub_case("mistral, window wider than the context", "mistral", sliding_window=4096)
    yield hub_case("mistral-nemo", "mistral", sliding_window=None, head_dim=32)
    yield hub_case("qwen2", "qwen2", tie_word_embeddings=False)
    yield hub_case("qwen2, tied", "qwen2", tie_word_embeddings=True)
    yield hub_case("qwen2, windows above layer 1", "qwen2", use_sliding_window=True,
                   sliding_window=7, max_window_layers=2)
    yield hub_case("qwen2, windows by max_window_layers alone", "qwen2", use_sliding_window=True,
                   sliding_window=7, max_window_layers=2, drop=["layer_types"])
    yield hub_case("qwen2, yarn", "qwen2", rope_parameters=dict(YARN, rope_theta=1000000.0))
    yield hub_case("qwen3", "qwen3", head_dim=16)
    yield hub_case("qwen3, tied and wide heads", "qwen3", head_dim=32, tie_word_embeddings=True)
    yield hub_case("qwen3, attention_bias", "qwen3", head_dim=16, attention_bias=True)
    moe = dict(head_dim=16, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32)
    yield hub_case("qwen3_moe", "qwen3_moe", norm_topk_prob=True, **moe)
    yield hub_case("qwen3_moe, shares as they are", "qwen3_moe", norm_topk_prob=False, **moe)
    yield hub_case("qwen3_moe, dense layers", "qwen3_moe", norm_topk_prob=True, mlp_only_layers=[1],
                   decoder_sparse_step=1, **moe)
    yield hub_case("qwen3_moe, every second layer", "qwen3_moe", norm_topk_prob=True,
                   decoder_sparse_step=2, **moe)
    mixtral = dict(num_local_experts=4, num_experts_per_tok=2)
    yield hub_case("mixtral", "mixtral", **mixtral)
    yield hub_case("mixtral, window", "mixtral", sliding_window=9, **mixtral)
    yield hub_case("gemma", "gemma", head_dim=16)
    yield hub_case("gemma2", "gemma2", head_dim=16, query_pre_attn_scalar=24, sliding_window=9)
    yield hub_case("gemma2, tight caps", "gemma2", head_dim=16, query_pre_attn_scalar=16,
                   sliding_window=9, attn_logit_softcapping=2.0, final_logit_softcapping=20.0)
    yield hub_case("gemma2, no caps", "gemma2", head_dim=16, query_pre_attn_scalar=16,
                   sliding_window=9, attn_logit_softcapping=None, final_logit_softcapping=None)
    gemma3 = dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=9, num_hidden_layers=7)
    yield hub_case("gemma3", "gemma3_text", **gemma3)
    both = dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                sliding_attention=dict(rope_type="default", rope_theta=10000.0))
    yield hub_case("gemma3, linear in full layers", "gemma3_text", rope_parameters=both, **gemma3)
    yield hub_case("gemma3, as transformers 4 writes it", "gemma3_text", rope_parameters=both,
                   drop=["rope_parameters", "layer_types"], raw=dict(
                       rope_theta=1000000.0, rope_local_base_freq=10000.0, sliding_window_pattern=6,
                       rope_scaling=dict(rope_type="linear", factor=8.0)), **gemma3)
    yield hub_case("phi3", "phi3", sliding_window=None, **PHI)
    yield hub_case("phi3, window", "phi3", sliding_window=9, **PHI)
    yield hub_case("phi4-mini, rotated in part", "phi3", sliding_window=None,
                   rope_parameters=dict(rope_type="default", rope_theta=10000.0,
                                        partial_rotary_factor=0.75), **PHI)
    short, long = [1.0 + 0.1 * i for i in range(8)], [2.0 + i for i in range(8)]
    yield hub_case("phi3, longrope below its first context", "phi3", sliding_window=None,
                   original_max_position_embeddings=64,
                   rope_parameters=dict(rope_type="longrope", rope_theta=10000.0,
                                        short_factor=short, long_factor=long,
                                        original_max_position_embeddings=64), **PHI)
    yield hub_case("smollm3", "smollm3")
    yield hub_case("smollm3, rotating in layers of its own", "smollm3", no_rope_layers=[1, 0, 0, 1])
    yield hub_case("olmo2", "olmo2")
    yield hub_case("olmo3", "olmo3", sliding_window=9)
    yield hub_case("olmo3, yarn in full layers", "olmo3", sliding_window=9, rope_parameters=dict(
        full_attention=YARN, sliding_attention=dict(rope_type="default", rope_theta=10000.0)))
    yield hub_case("granite", "granite", embedding_multiplier=3.0, residual_multiplier=0.4,
                   attention_multiplier=0.2, logits_scaling=2.0)
    yield hub_case("granite, biases", "granite", attention_bias=True, mlp_bias=True)


def number(value, kind="u32"):
    return dict(type=kind, value=value)


NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp", "block_sparse_moe.gate": "ffn_gate_inp",
    "input_layernorm": "attn_norm",
}
EXPERTS = {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps",
           "w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps"}


def gguf_name(name, arch):
    """The tensor's name in a GGUF file, and the expert whose part it is."""
    fixed = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight",
             "model.norm.weight": "output_norm.weight"}
    if name in fixed:
        return fixed[name], None
    _, _, layer, rest = name.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    around = arch in ("gemma2", "gemma3")
    norms = {"post_attention_layernorm": "post_attention_norm" if around or arch == "olmo2" else "ffn_norm",
             "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
    if ".experts." in module:
        expert, part = module.split(".experts.")[1].split(".")
        return f"blk.{layer}.{EXPERTS[part]}.{kind}", int(expert)
    return f"blk.{layer}.{ {**NAMES, **norms}[module]}.{kind}", None


def gguf_case(hub, name, arch, interleaved=False, extra=None, drop=(), divisors=None, note=None):
    """The same model as a GGUF file: its numbers are those of the hub's case."""
    config = hub["config"]
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    plus = 1.0 if arch.startswith("gemma") else 0.0
    tensors, stacks = [], {}
    for spec in hub["tensors"]:
        target, expert = gguf_name(spec["name"], arch)
        entry = dict(spec, gguf=target)
        if interleaved and any(p in spec["name"] for p in ("q_proj", "k_proj")):
            entry["interleave"] = head_dim
        if "norm" in target:
            entry["plus"] = plus
        if expert is None:
            tensors.append(dict(gguf=target, parts=[entry]))
        else:
            stacks.setdefault(target, {})[expert] = entry
    tensors += [dict(gguf=k, parts=[v[e] for e in sorted(v)], stacked=True) for k, v in sorted(stacks.items())]
    if divisors:
        tensors.append(dict(gguf=divisors[0], values=divisors[1]))
    theta = config["rope_parameters"]
    theta = theta.get("rope_theta") or theta["full_attention"]["rope_theta"]
    metadata = {
        "general.architecture": number(arch, "string"),
        f"{arch}.context_length": number(config["max_position_embeddings"]),
        f"{arch}.embedding_length": number(config["hidden_size"]),
        f"{arch}.block_count": number(config["num_hidden_layers"]),
        f"{arch}.feed_forward_length": number(config["intermediate_size"]),
        f"{arch}.attention.head_count": number(heads),
        f"{arch}.attention.head_count_kv": number(kv),
        f"{arch}.attention.key_length": number(head_dim),
        f"{arch}.attention.value_length": number(head_dim),
        f"{arch}.rope.dimension_count": number(head_dim),
        f"{arch}.attention.layer_norm_rms_epsilon": number(config["rms_norm_eps"], "f32"),
        f"{arch}.rope.freq_base": number(float(theta), "f32"),
    }
    metadata.update({f"{arch}.{k}": v for k, v in (extra or {}).items()})
    for key in drop:
        metadata.pop(f"{arch}.{key}")
    kept = {k: hub[k] for k in ("greedy", "gaps", "logprobs")}
    return dict(name=name, container="gguf", metadata=metadata, tensors=tensors, note=note, **kept)


def gguf_cases(hub):
    by = {case["name"]: case for case in hub}
    f32 = lambda value: number(value, "f32")
    yield gguf_case(by["llama"], "gguf llama", "llama", True)
    yield gguf_case(by["llama"], "gguf llama, freq_base as u32", "llama", True,
                    extra={"rope.freq_base": number(10000)}, note="llama.cpp refuses the type")
    yield gguf_case(by["llama"], "gguf llama, defaults left out", "llama", True, drop=[
        "attention.key_length", "attention.value_length", "rope.dimension_count", "rope.freq_base"])
    yield gguf_case(by["llama"], "gguf llama, linear by one", "llama", True, extra={
        "rope.scaling.type": number("linear", "string"), "rope.scaling.factor": f32(1.0)})
    yield gguf_case(by["llama, linear"], "gguf llama, rope.scaling linear", "llama", True, extra={
        "rope.scaling.type": number("linear", "string"), "rope.scaling.factor": f32(4.0)})
    yield gguf_case(by["llama, linear"], "gguf llama, scale_linear", "llama", True,
                    extra={"rope.scale_linear": f32(4.0)})
    yield gguf_case(by["llama, yarn"], "gguf llama, yarn", "llama", True, extra={
        "rope.scaling.type": number("yarn", "string"), "rope.scaling.factor": f32(4.0),
        "rope.scaling.original_context_length": number(64)})
    pairs = [500000.0 ** (-2 * i / 16) for i in range(8)]
    def divisor(f):
        turns = 64 * f / (2 * math.pi)
        blend = min(max((turns - 1) / 3, 0), 1)
        return 1 / (blend + (1 - blend) / 32)
    yield gguf_case(by["llama, llama3 in rope_parameters"], "gguf llama, rope_freqs.weight", "llama",
                    True, divisors=("rope_freqs.weight", [divisor(f) for f in pairs]))
    yield gguf_case(by["llama, attention_bias"], "gguf llama, biases of attention", "llama", True)
    yield gguf_case(by["llama, tied"], "gguf llama, tied", "llama", True)
    yield gguf_case(by["mistral-nemo"], "gguf mistral-nemo", "llama", True)
    yield gguf_case(by["qwen2"], "gguf qwen2", "qwen2")
    yield gguf_case(by["qwen2, tied"], "gguf qwen2, tied", "qwen2")
    yield gguf_case(by["qwen3"], "gguf qwen3", "qwen3")
    yield gguf_case(by["qwen3, tied and wide heads"], "gguf qwen3, wide heads", "qwen3")
    experts = lambda n: {"expert_count": number(n), "expert_used_count": number(2)}
    yield gguf_case(by["qwen3_moe"], "gguf qwen3moe", "qwen3moe",
                    extra={**experts(6), "expert_feed_forward_length": number(32)})
    yield gguf_case(by["mixtral"], "gguf mixtral", "llama", True, extra=experts(4))
    yield gguf_case(by["gemma"], "gguf gemma", "gemma")
    yield gguf_case(by["gemma2, tight caps"], "gguf gemma2", "gemma2", extra={
        "attention.sliding_window": number(9), "attn_logit_softcapping": f32(2.0),
        "final_logit_softcapping": f32(20.0)})
    yield gguf_case(by["gemma3"], "gguf gemma3", "gemma3", extra={"attention.sliding_window": number(9)})
    yield gguf_case(by["gemma3, linear in full layers"], "gguf gemma3, linear", "gemma3", extra={
        "attention.sliding_window": number(9), "rope.scaling.type": number("linear", "string"),
        "rope.scaling.factor": f32(8.0)})
    yield gguf_case(by["phi3"], "gguf phi3", "phi3")
    yield gguf_case(by["phi4-mini, rotated in part"], "gguf phi4-mini", "phi3",
                    extra={"rope.dimension_count": number(12)})
    yield gguf_case(by["smollm3"], "gguf smollm3", "smollm3", True)
    yield gguf_case(by["olmo2"], "gguf olmo2", "olmo2")
    yield gguf_case(by["olmo3"], "gguf olmo3", "olmo2", extra={"attention.sliding_window": number(9)})
    yield gguf_case(by["granite"], "gguf granite", "granite", True, extra={
        "embedding_scale": f32(3.0), "residual_scale": f32(0.4), "attention.scale": f32(0.2),
        "logit_scale": f32(2.0)})


def interleave(rows, head_dim):
    """Rows of halves as converters lay them for a rotation of neighbours."""
    shape = rows.shape
    heads = shape[0] // head_dim
    return rows.reshape(heads, 2, head_dim // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def letters():
    """GPT-2's letters for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    out, more = [], 0
    for byte in range(256):
        if byte in plain:
            out.append(chr(byte))
        else:
            out.append(chr(256 + more))
            more += 1
    return out


def write_gguf(case, path):
    import gguf

    arch = case["metadata"]["general.architecture"]["value"]
    writer = gguf.GGUFWriter(path, arch)
    add = dict(u32=writer.add_uint32, f32=writer.add_float32, string=writer.add_string,
               bool=writer.add_bool)
    for key, entry in case["metadata"].items():
        if key != "general.architecture":
            add[entry["type"]](key, entry["value"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(letters() + ["<|endoftext|>"])
    writer.add_token_types([1] * 256 + [3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(256)
    for tensor in case["tensors"]:
        if "values" in tensor:
            writer.add_tensor(tensor["gguf"], np.array(tensor["values"], np.float32))
            continue
        parts = []
        for part in tensor["parts"]:
            data = value(part) + np.float32(part.get("plus", 0.0))
            if "interleave" in part:
                data = interleave(data, part["interleave"])
            parts.append(data)
        writer.add_tensor(tensor["gguf"], np.stack(parts) if tensor.get("stacked") else parts[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def judge_by_llama(path):
    """llama.cpp's likeliest next token after prefixes, where float64's two likeliest lie apart."""
    import socket
    import urllib.request

    import xllamacpp as llama

    cases = [case for case in json.load(open(path))["cases"] if case["container"] == "gguf"]
    wrong = 0
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            write_gguf(case, folder + "/m.gguf")
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                port = s.getsockname()[1]
            params = llama.CommonParams()
            params.model.path, params.port = folder + "/m.gguf", port
            params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 256, 1, 1
            params.warmup = False
            try:
                server = llama.Server(params)
            except Exception as error:
                print(f"{case['name']}: llama.cpp refuses: {error} ({case['note']})")
                wrong += case["note"] is None
                continue
            seen = agree = 0
            for end in range(2, len(PROMPT) - 1, 3):
                # A word that ends the text is not among the tokens.
                if case["gaps"][end - 1] < 0.02 or case["greedy"][end - 1] == 256:
                    continue
                body = json.dumps(dict(prompt=PROMPT[:end], n_predict=1, temperature=0,
                                       return_tokens=True, cache_prompt=False)).encode()
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/completion", body, {"Content-Type": "application/json"})
                answer = json.load(urllib.request.urlopen(request))
                seen += 1
                agree += answer["tokens"][:1] == [case["greedy"][end - 1]]
            print(f"{case['name']}: {agree} of {seen}", flush=True)
            wrong += agree != seen
            del server
    sys.exit(f"{wrong} cases differ" if wrong else 0)


def main():
    if sys.argv[1] == "--llama":
        judge_by_llama(sys.argv[2])
    hub = list(hub_cases())
    cases = hub + list(gguf_cases(hub))
    with open(sys.argv[1], "w") as file:
        file.write('{"prompt":' + json.dumps(PROMPT) + ',"cases":[\n')
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]}\n")
    print(len(cases), "cases")


main()
