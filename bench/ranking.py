"""Measures full ranking and the best 100 items of all users beside PyTorch's `matmul`, comparison and `topk`.

usage: ranking.py [--turns 5] [--users 45548] [--items 57396] [--neumf]

Both sides use the same tables and as many threads, by turns, each as a process of its own; only scoring and ranking are
timed. It refuses to report unless both find the same ranks and best items, up to the roundings of f32. With `--neumf`,
ncf-pipe alone is measured, in pairs a second. Needs numpy and torch, and `cargo build --release --example rank_tables`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))

TORCH = """
import json, sys, time, numpy, torch
directory, users, items, factors, threads = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
read = lambda name: torch.from_numpy(numpy.fromfile(f"{directory}/{name}.f32", dtype="<f4"))
p, q = read("embed_user_GMF.weight").view(users, factors), read("embed_item_GMF.weight").view(items, factors)
h, b = read("predict_layer.weight"), read("predict_layer.bias")
block = 256
result = {"rank_sum": 0, "first_sum": 0}
with torch.inference_mode():
    g, qt = p * h, q.t()
    start = time.perf_counter()
    for first in range(0, users, block):
        x = g[first:first + block] @ qt + b
        own = (torch.arange(first, first + len(x)) % items).unsqueeze(1)
        result["rank_sum"] += int((x > x.gather(1, own)).sum()) + len(x)
    result["ranks"] = time.perf_counter() - start
    start = time.perf_counter()
    for first in range(0, users, block):
        x = g[first:first + block] @ qt + b
        result["first_sum"] += int(x.topk(100, dim=1).indices[:, 0].sum())
    result["top"] = time.perf_counter() - start
print(json.dumps(result))
"""


def tables(directory, users, items, factors, neumf):
    import numpy

    random = numpy.random.default_rng(1)
    shapes = {
        "embed_user_GMF.weight": (users, factors),
        "embed_item_GMF.weight": (items, factors),
        "predict_layer.weight": (1, 2 * factors if neumf else factors),
        "predict_layer.bias": (1,),
    }
    if neumf:
        shapes |= {"embed_user_MLP.weight": (users, 4 * factors), "embed_item_MLP.weight": (items, 4 * factors)}
        inputs = 8 * factors
        for number, outputs in enumerate([4 * factors, 2 * factors, factors]):
            shapes |= {f"MLP_layers.{3 * number + 1}.weight": (outputs, inputs)}
            shapes |= {f"MLP_layers.{3 * number + 1}.bias": (outputs,)}
            inputs = outputs
    for name, shape in shapes.items():
        (random.standard_normal(shape, dtype="float32") * 0.1).tofile(directory / f"{name}.f32")


def run(command):
    return json.loads(subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--users", type=int, default=45548)
    parser.add_argument("--items", type=int, default=57396)
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--neumf", action="store_true")
    args = parser.parse_args()
    shape = [args.users, args.items, args.factors, args.threads]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        tables(directory, *shape[:3], args.neumf)
        ours, theirs = [], []
        for _ in range(args.turns):
            program = TARGET / "release/examples/rank_tables"
            ours.append(run([program, "neumf" if args.neumf else "gmf", directory, *shape]))
            if not args.neumf:
                theirs.append(run([sys.executable, "-c", TORCH, directory, *shape]))
    median = lambda runs, key: statistics.median(run[key] for run in runs)
    pairs = args.users * args.items
    for key in ["prepare", "ranks", "top", "sampled"]:
        seconds = median(ours, key)
        rate = f", {pairs / seconds / 1e6:.1f} M pairs/s" if key in ["ranks", "top"] else ""
        print(f"ncf-pipe {key}: {seconds:.3f} s{rate}")
    if theirs:
        for key in ["rank_sum", "first_sum"]:
            if abs(ours[0][key] / theirs[0][key] - 1) > 1e-4:
                sys.exit(f"the sides disagree: `{key}` is {ours[0][key]} and {theirs[0][key]}")
        for key in ["ranks", "top"]:
            ratio = statistics.median(b[key] / a[key] for a, b in zip(ours, theirs))
            print(f"PyTorch {key}: {median(theirs, key):.3f} s, {ratio:.1f} times as long")


if __name__ == "__main__":
    main()
