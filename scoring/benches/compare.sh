#!/bin/sh
# Epochs beside numpy's float version in one run on one thread, then their instruction counts, which
# survive noisy machines. Needs python3 with numpy, and valgrind for the counts.
set -eu
cd "$(dirname "$0")/../.."
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
cargo bench -q -p scoring --bench epoch -- --noplot 2>/dev/null | grep -E '^[0-9a-z].*time:' || true
"${PYTHON:-python3}" scoring/benches/numpy_yuma.py

bench=$(cargo bench -p scoring --bench epoch --no-run 2>&1 | sed -n 's/.*(\(.*\)).*/\1/p' | tail -1)
[ -x "$bench" ] || { echo "no bench binary: $bench" >&2; exit 1; }
count() {
    EPOCH_ONCE=$1 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" 2>&1 >/dev/null |
        sed -n 's/.*Collected : //p'
}
for size in 256x64 4096x256; do
    base=$(count $size:none)
    for variant in classic yuma3 liquid; do
        echo "callgrind $size $variant: $(($(count $size:$variant) - base)) instructions"
    done
done
