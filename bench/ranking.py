"""Measures full ranking and the best 100 items of all users beside PyTorch's `matmul`, comparison and `topk`, and writes the
figures into BENCHMARKS.md.

usage: ranking.py [--turns 3]

Both sides use the same tables and as many threads, by turns, each as a process of its own; only scoring and ranking are
timed. It refuses to report unless both find the same ranks and best items, up to the roundings of f32. Of NeuMF, ncf-pipe
alone is measured, on the sizes of MovieLens 1M. Needs numpy and torch, and `cargo build --release --example rank_tables`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from prep import GIB, REPOSITORY, built, machine, table, write_section

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))

# The users and items of MovieLens 1M.
ML1M = (6040, 3706)

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
status = open("/proc/self/status").read()
result["peak"] = int(status.split("VmHWM:")[1].split()[0]) * 1024
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


def turns(args, kind, users, items):
    """What each turn of ncf-pipe and of PyTorch took."""
    shape = [users, items, args.factors, args.threads]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        tables(directory, *shape[:3], kind == "neumf")
        ours, theirs = [], []
        for _ in range(args.turns):
            ours.append(run([args.binary, kind, directory, *shape]))
            print(f"{kind}, ncf-pipe: {ours[-1]}", file=sys.stderr)
            if kind == "gmf":
                theirs.append(run([sys.executable, "-c", TORCH, directory, *shape]))
                print(f"{kind}, PyTorch: {theirs[-1]}", file=sys.stderr)
                for key in ["rank_sum", "first_sum"]:
                    if abs(ours[-1][key] / theirs[-1][key] - 1) > 1e-4:
                        sys.exit(f"the sides disagree: `{key}` is {ours[-1][key]} and {theirs[-1][key]}")
    return ours, theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--users", type=int, default=45548)
    parser.add_argument("--items", type=int, default=57396)
    parser.add_argument("--factors", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    program = TARGET / "release/examples/rank_tables"
    parser.add_argument("--binary", type=Path, default=program, help="what to measure")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "BENCHMARKS.md", help="the file to write into")
    args = parser.parse_args()
    args.binary = built(parser, args.binary)
    gmf, torch = turns(args, "gmf", args.users, args.items)
    neumf, _ = turns(args, "neumf", *ML1M)
    median = lambda runs, key: statistics.median(run[key] for run in runs)

    def row(what, key, pairs, ours, theirs, by):
        mine = median(ours, key)
        other = f"{median(theirs, key):.2f} s ({by})" if theirs else "–"
        ratio = f"{median(theirs, key) / mine:.1f}" if theirs else "–"
        turns = ", ".join(f"{one[key]:.2f}" for one in ours)
        return [what, f"{mine:.2f} s", f"{pairs / mine / 1e6:.0f} M", other, ratio, turns]

    def sampled(what, runs):
        return row(f"{what}, 115,056 lists of 100 candidates", "sampled", 115_056 * 101, runs, [], "")

    sizes = f"{args.users:,} × {args.items:,}"
    pairs, pairs_ml1m = args.users * args.items, ML1M[0] * ML1M[1]
    rows = [
        row(f"GMF, {sizes}, ranks of all positives", "ranks", pairs, gmf, torch, "matmul, compare, sum"),
        row(f"GMF, {sizes}, the best 100 of each user", "top", pairs, gmf, torch, "matmul, topk"),
        row(f"NeuMF, {ML1M[0]:,} × {ML1M[1]:,}, ranks", "ranks", pairs_ml1m, neumf, [], ""),
        sampled("GMF", gmf),
        sampled("NeuMF", neumf),
    ]
    head = ["work", "ncf-pipe", "pairs/s", "PyTorch", "ratio", "each turn"]
    peaks = ", ".join(
        f"{name} {median(runs, 'peak') / GIB:.2f}"
        for name, runs in [(f"GMF {sizes}", gmf), ("PyTorch the same", torch), (f"NeuMF {ML1M[0]:,} × {ML1M[1]:,}", neumf)]
    )
    version = subprocess.run([sys.executable, "-c", "import torch; print(torch.__version__)"], check=True, stdout=subprocess.PIPE, text=True)
    text = f"""
Scores and ranks alone, {args.factors} factors, {args.threads} threads, against PyTorch {version.stdout.strip()}; medians of {args.turns} turns, one after another.

{table(head, rows)}

Peak memory in GiB of a process that does all of a model's rows: {peaks}.

Machine: {machine()}. Command: `python bench/ranking.py --turns {args.turns} --users {args.users} --items {args.items} --factors {args.factors} --threads {args.threads}`.
"""
    write_section(args.report, "ranking", "Ranking, beside PyTorch", text)


if __name__ == "__main__":
    main()
