"""Our engine against llama.cpp, alternating in the same minutes, on the same file.

usage: against_llama.py GANGLION MODEL.gguf THREADS [ROUNDS]   (needs the wheel xllamacpp)
Prints one JSON object: the best of each side's rounds, three by default, and the ratios.
"""

import concurrent.futures
import json
import subprocess
import sys
import time
import urllib.request

import xllamacpp as llama

program, model, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
PROMPT, DECODE, CONCURRENCY = 128, 64, 8
ROUNDS = int(sys.argv[4]) if len(sys.argv) > 4 else 3

params = llama.CommonParams()
params.model.path = model
params.n_ctx, params.n_parallel, params.port = 4096, CONCURRENCY, 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
server = llama.Server(params)


def complete(lane):
    prompt = [(i * 37 + lane * 4099 + 300) % 40_000 for i in range(PROMPT)]
    body = {"prompt": prompt, "n_predict": DECODE, "ignore_eos": True, "temperature": 0,
            "cache_prompt": False}
    request = urllib.request.Request(
        server.listening_address + "/completion", json.dumps(body).encode(),
        {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request))["timings"]


def peer(seed):
    alone = complete(seed)
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
        done = list(pool.map(complete, range(seed + 1, seed + 1 + CONCURRENCY)))
    tokens = sum(timing["predicted_n"] for timing in done)
    return {"prefill_tok_s": alone["prompt_per_second"],
            "decode_tok_s": alone["predicted_per_second"],
            "aggregate_tok_s": tokens / (time.monotonic() - started)}


def ours():
    words = [program, "model", "bench", model, "--threads", threads, "--prompt", PROMPT,
             "--decode", DECODE, "--concurrency", CONCURRENCY, "--json"]
    return json.loads(subprocess.check_output([str(word) for word in words]))


best = {"ours": {}, "llama.cpp": {}}
for turn in range(ROUNDS):
    for name, measured in (("llama.cpp", peer(turn * 100)), ("ours", ours())):
        for key in ("prefill_tok_s", "decode_tok_s", "aggregate_tok_s"):
            best[name][key] = max(best[name].get(key, 0), measured[key])
    best["ours"]["peak_rss_mb"] = measured["peak_rss_mb"]
ratios = {key: round(best["ours"][key] / best["llama.cpp"][key], 2) for key in best["llama.cpp"]}
print(json.dumps({"threads": threads, **best, "ratios": ratios}))
