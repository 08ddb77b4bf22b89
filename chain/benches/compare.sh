#!/usr/bin/env bash
# A metagraph over loopback beside the Python SDK's, in one run. Installs the SDK where it is missing.
# usage: compare.sh [CACHE_FOLDER]   (holds the virtual environment)
set -euo pipefail
cd "$(dirname "$0")/../.."
venv="${1:-$HOME/.cache/ganglion}/venv11"
if ! "$venv/bin/python" -c 'import bittensor' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check bittensor==11.3.0
fi
home=$(mktemp -d) # the SDK caches metadata there
trap 'rm -rf "$home"' EXIT
cargo bench -q -p chain --bench metagraph --no-run
bench=$(cargo bench -p chain --bench metagraph --no-run 2>&1 | sed -n 's/.*(\(.*\)).*/\1/p' | tail -1)
HOME="$home" SDK_PYTHON="$venv/bin/python" "$bench" --bench --noplot | grep -E 'time:|beside'
