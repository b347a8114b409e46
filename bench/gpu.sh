#!/usr/bin/env bash
# Training and ranking on the GPU of this machine, beside PyTorch there; writes a Markdown table to standard output.
#   bench/gpu.sh [GPU_BENCH] [TORCH_NCF]
#     GPU_BENCH  the program of `cargo build --release -p ncf-pipe-gpu --example gpu_bench`; built if not given
#     TORCH_NCF  the PyTorch program beside which it is measured (torch_ncf.py); left out if not given
# First, whether GPU and processor agree; nothing is measured if they do not. PyTorch needs torch for CUDA and numpy; its
# `nvidia/cu13/lib` also has the NVRTC and cuBLAS that ours needs where CUDA itself is not installed.
# Both work on synthetic data of the same sizes; samples per second include drawing negatives on both sides.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
bench=${1:-}
torch=${2:-}
if [ -z "$bench" ]; then
  (cd "$here" && cargo build --release -p ncf-pipe-gpu --example gpu_bench >&2)
  bench=$(cd "$here" && cargo metadata --format-version 1 --no-deps |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/examples/gpu_bench
fi
if wheels=$(python3 -c 'import nvidia, os; print(list(nvidia.__path__)[0])' 2>/dev/null) && [ -d "$wheels/cu13/lib" ]; then
  export LD_LIBRARY_PATH="$wheels/cu13/lib:${LD_LIBRARY_PATH:-}"
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >&2 || {
  echo 'no GPU: nvidia-smi does not run; install the driver' >&2
  exit 1
}

"$bench" --check >&2
"$bench"

[ -n "$torch" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# users, items, interactions
python3 - "$work" <<'PY'
import sys
import numpy as np
rng = np.random.default_rng(42)
for name, (users, items, n) in dict(ml20m=(138493, 26744, 20_000_000), ml1m=(6040, 3706, 994_169),
                                    yelp=(45548, 57396, 1_672_520)).items():
    # Items in proportion to about 1 / rank, as in gpu_bench; a pair counts once.
    keys = np.empty(0, np.int64)
    while len(keys) < n:
        u = rng.integers(0, users, n - len(keys))
        i = (items ** rng.random(len(u))).astype(np.int64) - 1
        keys = np.unique(np.concatenate([keys, u * items + i * 7919 % items]))
    test = rng.integers(0, items, (users, 100))
    np.savez(f"{sys.argv[1]}/{name}.npz", train=np.stack([keys // items, keys % items], 1).astype(np.int32),
             test_users=np.arange(users, dtype=np.int32), test_items=test.astype(np.int32), n_users=users, n_items=items)
PY
echo
echo '| PyTorch | M samples/s without drawing | M samples/s |'
echo '|---|---|---|'
# torch_ncf.py's NeuMF with f factors and L layers has the widths f·2^L … f: 64 and 3 are 512-256-128-64, twice the
# first layer of our ML-20M rows, whose form it cannot say; 32 and 3 are ours.
row() {
  local name=$1
  shift
  python3 "$torch" "$@" --device cuda --loader tuned --no-eval | tail -1 | python3 -c '
import json, sys
r = json.loads(sys.stdin.read())
alone = r["samples"] / max(r["train_s"] - r["sampling_s"], 1e-9)
print("| %s | %.2f | %.2f |" % (sys.argv[1], alone / 1e6, r["samples_per_s"] / 1e6))' "$name"
}
for amp in '' --amp; do
  row "ML-20M NeuMF 64 $amp" "$work/ml20m.npz" --factors 64 --batch 1048576 --max-steps 60 $amp
  row "ML-20M GMF 64 $amp" "$work/ml20m.npz" --model GMF --factors 64 --batch 1048576 --max-steps 60 $amp
  row "ML-1M NeuMF 32, batch 256 $amp" "$work/ml1m.npz" --batch 256 --max-steps 3000 $amp
  row "ML-1M GMF 32, batch 256 $amp" "$work/ml1m.npz" --model GMF --batch 256 --max-steps 3000 $amp
  row "Yelp GMF 32, T-CE $amp" "$work/yelp.npz" --model GMF --batch 1024 --neg 1 --loss tce --max-steps 2000 $amp
  row "Yelp NeuMF 32 $amp" "$work/yelp.npz" --batch 1024 --neg 1 --max-steps 2000 $amp
done
