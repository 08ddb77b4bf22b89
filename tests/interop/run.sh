#!/usr/bin/env bash
# The local chain, judged by other people's programs: the Python SDK and btcli, unmodified.
# usage: run.sh CACHE_FOLDER   (holds the virtual environments)
set -euo pipefail
cd "$(dirname "$0")/../.."
cache="${1:?folder for the virtual environments}"
target="${CARGO_TARGET_DIR:-target}"

venv() { # name, requirement...
    local folder="$cache/$1"
    shift
    if ! "$folder/bin/python" -c 'import bittensor' 2>/dev/null; then
        python3 -m venv "$folder"
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}
venv venv11 bittensor==11.3.0
venv venv10 bittensor==10.5.0

# As the tests built them: an example brings the same features of dependencies with it.
cargo build --locked --workspace --bins --example read --example interop
python="$cache/venv11/bin/python"
home=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$home"' EXIT
export HOME="$home" # the SDK caches metadata and wallets there

# Runs a script against a chain of its own.
judge() { # venv, port, flags of the chain, script, argument...
    local python="$cache/$1/bin/python" port="$2" flags="$3" script="$4"
    shift 4
    # shellcheck disable=SC2086 # flags are words
    "$target/debug/ganglion" localnet --port "$port" $flags >"$home/localnet-$port.log" 2>&1 &
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
        sleep 0.1
    done
    "$python" "tests/interop/$script" "ws://127.0.0.1:$port" "$@"
    kill %%
}
judge venv11 19944 "--block-ms 250" sdk.py "$target/debug/examples/read"
judge venv11 19945 "--block-ms 250" btcli.py
judge venv10 19946 "--block-ms 100 --genesis docs/subnet.toml" sdk10.py
# quicknet's one genuine pulse at hand is of 2023: chain and SDK run on a clock of that time, where one can.
faketime=$(find /usr/lib -name libfaketime.so.1 -print -quit 2>/dev/null)
if [ -n "$faketime" ]; then
    signature=b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39
    echo "{\"round\":1000,\"signature\":\"$signature\"}" >"$home/pulses"
    due=$((1692803367 + 999 * 3))
    printf %s $((due - 400 - $(date +%s))) >"$home/clock"
    (
        export LD_PRELOAD="$faketime" FAKETIME_TIMESTAMP_FILE="$home/clock" FAKETIME_NO_CACHE=1
        export FAKETIME_DONT_FAKE_MONOTONIC=1
        flags="--block-ms 250 --genesis tests/interop/quicknet.toml --beacon quicknet --pulses $home/pulses"
        judge venv11 19947 "$flags" quicknet.py "$home/clock" 1000
    )
else
    echo "quicknet.py was not run: no libfaketime (apt-get install faketime)"
fi
"$python" tests/interop/keys.py "$target/debug/examples/interop"
