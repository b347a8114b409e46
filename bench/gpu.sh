#!/usr/bin/env bash
# Training and ranking on the GPU of this machine, beside PyTorch there; writes Markdown tables to standard output.
#   bench/gpu.sh [GPU_BENCH [NCF_PIPE [TORCH_NCF]]]
#     GPU_BENCH  the program of `cargo build --release -p ncf-pipe-gpu --features cuda --example gpu_bench`
#     NCF_PIPE   the program of `cargo build --release --features cuda`
#     TORCH_NCF  the PyTorch program beside which it is measured (torch_ncf.py); left out if not given
# Programs that are not given, or `-`, are built here. Each may be carried to another machine stripped, and packed as
# NAME.gz. First, whether GPU and processor agree; nothing is measured if they do not. PyTorch needs torch for CUDA and
# numpy; its packages also have the NVRTC and cuBLAS that ours needs where CUDA itself is not installed.
# Both work on synthetic data of the same sizes; samples per second include drawing negatives on both sides.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# given PATH NAME: where a program lies that was handed over, unpacked and executable.
given() {
  case $1 in
    *.gz) gunzip -c "$1" >"$work/$2" ;;
    *) cp "$1" "$work/$2" ;;
  esac
  chmod +x "$work/$2"
}

# built NAME CARGO_ARGUMENTS...: builds a program here.
built() {
  local name=$1 target
  shift
  (cd "$here" && cargo build --release "$@" >&2)
  target=$(cd "$here" && cargo metadata --format-version 1 --no-deps |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
  cp "$target/release/$name" "$work/$(basename "$name")"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >&2 || {
  echo 'no GPU: nvidia-smi does not run; install the driver' >&2
  exit 1
}
if [ "${1:--}" = - ]; then
  built examples/gpu_bench -p ncf-pipe-gpu --features ncf-pipe-gpu/cuda --example gpu_bench
else
  given "$1" gpu_bench
fi
if [ "${2:--}" = - ]; then built ncf-pipe --features cuda; else given "$2" ncf-pipe; fi
torch=${3:-}
if [ "$torch" = - ]; then torch=; fi
wheels=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true)
for folder in cu13 cuda_nvrtc cublas; do
  if [ -n "$wheels" ] && [ -d "$wheels/$folder/lib" ]; then
    export LD_LIBRARY_PATH="$wheels/$folder/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  fi
done

"$work/gpu_bench" --check >&2

# ncf DEVICE ARGUMENTS...: the program itself, whose report is the last line.
ncf() {
  local device=$1
  shift
  "$work/ncf-pipe" -q run "$here/bench/gpu.yaml" --device "$device" --store "$work/store-$device" \
    --outputs "$work/outputs-$device" --json "$@" | tail -1 >"$work/$device.json"
}
# facts DEVICE STAGE FIELD: a field of a manifest, or a fact of it.
facts() {
  python3 - "$work/outputs-$1/bench_gpu/$2/manifest.json" "$3" <<'PY'
import json, sys
manifest = json.load(open(sys.argv[1]))
print(manifest["facts"].get(sys.argv[2], manifest.get(sys.argv[2])))
PY
}
# metric DEVICE: NDCG@20 of full ranking.
metric() {
  python3 - "$work/outputs-$1/bench_gpu/evaluate/metrics.json" <<'PY'
import json, sys
print(json.load(open(sys.argv[1]))["protocols"]["full"]["metrics"]["ndcg@20"])
PY
}

# The program agrees with itself: one epoch of GMF on both, and the metric of both models.
for device in cpu cuda; do ncf "$device" --set model=gmf; done
python3 - "$(metric cpu)" "$(metric cuda)" "$(facts cuda train device)" "$(facts cuda evaluate device)" >&2 <<'PY'
import sys
cpu, cuda = map(float, sys.argv[1:3])
print(f"NDCG@20 after an epoch of GMF: {cpu:.5f} on the processor, {cuda:.5f} on the GPU")
if sys.argv[3:] != ["cuda:0", "cuda:0"]:
    sys.exit(f"the GPU was not used: {sys.argv[3:]}")
if abs(cuda - cpu) > 0.02 * max(cpu, 1e-3):
    sys.exit("GPU and processor do not agree")
PY

"$work/gpu_bench"

echo
echo '| ncf-pipe run, Yelp shapes | precision | M samples/s | start, s | full ranking, s |'
echo '|---|---|---|---|---|'
for model in gmf neumf; do
  for batch in 1024 65536; do
    for precision in float32 tf32 bf16; do
      # Two lengths: their difference is the training, what is left of the first is opening the GPU and the data.
      times=()
      for epochs in 2 12; do
        ncf cuda --set "model=$model" --set "batch=$batch" --set "epochs=$epochs" --gpu-precision "$precision" \
          --force train --force evaluate
        times+=("$(facts cuda train training_seconds)" "$(facts cuda train samples_per_second)")
      done
      python3 - "$model, batch $batch" "$precision" "${times[@]}" "$(facts cuda evaluate seconds)" <<'PY'
import sys
name, precision, *numbers = sys.argv[1:]
short, rate, long, _, ranking = map(float, numbers)
epoch, samples = (long - short) / 10, short * rate / 2
print(f"| {name} | {precision} | {samples / epoch / 1e6:.2f} | {short - 2 * epoch:.2f} | {ranking:.2f} |")
PY
    done
  done
done

echo
echo '| the whole run on Yelp shapes, start and ranking included | seconds, each turn |'
echo '|---|---|'
whole() {
  "$work/ncf-pipe" -q run "$here/bench/whole.yaml" --device cuda --store "$work/store" --outputs "$work/outputs" "$@" >&2
}
whole --only yelp_split
turns=()
for _ in 1 2 3; do
  began=$(date +%s.%N)
  whole --only yelp --force yelp --force yelp_train
  turns+=("$(python3 -c "import time; print(f'{time.time() - $began:.2f}')")")
done
echo "| 10 epochs of GMF f=32 with T-CE, batch 1024, validation, full ranking | ${turns[*]} |"

[ -n "$torch" ] || exit 0
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
#
# row NAME SAMPLES STEPS ARGUMENTS...: drawing an epoch of SAMPLES is timed by itself; steps by what three times as many more
# take, so that loading CUDA is not counted.
row() {
  local name=$1 samples=$2 steps=$3
  shift 3
  for n in "$steps" "$((4 * steps))"; do
    python3 "$torch" "$@" --device cuda --loader tuned --no-eval --max-steps "$n" | tail -1
  done | python3 -c '
import json, sys
short, long = map(json.loads, sys.stdin.read().splitlines())
seconds = lambda r: r["train_s"] - r["sampling_s"]
alone = (long["samples"] - short["samples"]) / max(seconds(long) - seconds(short), 1e-9)
drawing = min(short["sampling_s"], long["sampling_s"]) / float(sys.argv[2])
print("| %s | %.2f | %.2f |" % (sys.argv[1], alone / 1e6, 1 / (1 / alone + drawing) / 1e6))' "$name" "$samples"
}
for amp in '' --amp; do
  row "ML-20M NeuMF 64 $amp" 100e6 20 "$work/ml20m.npz" --factors 64 --batch 1048576 $amp
  row "ML-20M GMF 64 $amp" 100e6 20 "$work/ml20m.npz" --model GMF --factors 64 --batch 1048576 $amp
  row "ML-1M NeuMF 32, batch 256 $amp" 4970845 750 "$work/ml1m.npz" --batch 256 $amp
  row "ML-1M GMF 32, batch 256 $amp" 4970845 750 "$work/ml1m.npz" --model GMF --batch 256 $amp
  row "Yelp GMF 32, T-CE $amp" 3345040 500 "$work/yelp.npz" --model GMF --batch 1024 --neg 1 --loss tce $amp
  row "Yelp NeuMF 32 $amp" 3345040 500 "$work/yelp.npz" --batch 1024 --neg 1 $amp
done
