"""Measures training beside PyTorch (torch_ncf.py of the peers), and writes the figures into BENCHMARKS.md.

usage: train.py                  all workloads
       train.py --only neumf     those whose name contains this

Each turn is a process of its own: ncf-pipe trains three epochs of a pipeline whose data are in its store already, PyTorch a
number of steps of the same work. Samples a second include drawing negatives on both sides. The programs take turns; the
figures are medians. The shares of the processor's peak are those of products of two large matrices, by the gemm crate
(`cargo build --release --example products`) and by PyTorch (MKL), of the fastest and of all of some seconds before each turn.
Processors with AVX-512 and those without have a table each. Needs numpy, polars and torch.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from prep import GIB, REPOSITORY, built, machine, output, run, table, vectors, write_section

PIPELINE = REPOSITORY / "bench/train.yaml"

# Name, data, model, loss, batch, negatives, steps of PyTorch, goal against PyTorch, floating-point operations a sample.
NEUMF32 = 6 * (256 * 128 + 128 * 64 + 64 * 32)
WORKLOADS = [
    ("NeuMF f=32, ML-1M", "ml1m", "neumf", "bce", 256, 4, 600, 8, NEUMF32),
    ("GMF f=32, ML-1M", "ml1m", "gmf", "bce", 256, 4, 3000, 10, 0),
    ("GMF f=32, Yelp shapes, BCE", "yelp", "gmf", "bce", 1024, 1, 300, 20, 0),
    ("GMF f=32, Yelp shapes, T-CE", "yelp", "gmf", "t_ce", 1024, 1, 300, 20, 0),
    ("GMF f=32, Yelp shapes, R-CE", "yelp", "gmf", "r_ce", 1024, 1, 300, 20, 0),
    ("NeuMF f=32, Yelp shapes", "yelp", "neumf", "bce", 1024, 1, 40, 20, NEUMF32),
]
TORCH = {"neumf": "NeuMF", "gmf": "GMF", "bce": "bce", "t_ce": "tce", "r_ce": "rce"}
PEAK = """
import torch, time
a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
best, count, start = 1e9, 0, time.perf_counter()
while (spent := time.perf_counter() - start) < 5:
    t = time.perf_counter(); torch.mm(a, b); best = min(best, time.perf_counter() - t); count += 1
print(2 * 2048 ** 3 / best / 1e9, 2 * 2048 ** 3 * count / spent / 1e9)
"""

def split(args, data):
    """The settings of a data set for the pipeline, and the npz that torch_ncf.py reads."""
    npz = args.work / f"{data}.npz"
    if data == "ml1m":
        source = args.data / "ml-1m-ncf"
        if not npz.exists():
            output([args.python, args.peers / "npz_from_ncf.py", source, "ml-1m", npz])
        return [f"dir={source}"], npz
    command = [args.binary, "-q", "run", PIPELINE, "--store", args.work / "store", "--outputs", args.work / "outputs"]
    output([*command, "--only", "yelp_split"])
    if not npz.exists():
        code = (
            "import sys, numpy as np, polars as pl\n"
            "t = pl.read_parquet(sys.argv[1] + '/train.parquet')\n"
            "u = pl.read_parquet(sys.argv[1] + '/users.parquet').height\n"
            "i = pl.read_parquet(sys.argv[1] + '/items.parquet').height\n"
            "z = np.zeros((1, 100), np.int32)\n"
            "np.savez(sys.argv[2], train=t.select('user_id', 'item_id').to_numpy().astype(np.int32),"
            " test_users=z[0, :1], test_items=z, n_users=u, n_items=i)\n"
        )
        output([args.python, "-c", code, args.work / "outputs/bench_train/yelp_split", npz])
    return [], npz


def ours(args, settings, work, directory):
    _, data, model, loss, batch, negatives, *_ = work
    command = [args.binary, "-q", "run", PIPELINE, "--json", "--store", args.work / "store"]
    command += ["--outputs", args.work / "outputs", "--only", data, "--force", data]
    for setting in [*settings, f"model={model}", f"loss={loss}", f"batch={batch}", f"negatives={negatives}"]:
        command += ["--set", setting]
    out, cost = run(command, directory)
    stages = json.loads(out.splitlines()[-1])["stages"]
    facts = next(stage["facts"] for stage in stages if stage["name"] == data)
    return facts["samples_per_second"], cost


def torch(args, npz, work, directory):
    _, _, model, loss, batch, negatives, steps, *_ = work
    command = [args.python, args.peers / "torch_ncf.py", npz, "--model", TORCH[model], "--loss", TORCH[loss]]
    command += ["--batch", batch, "--neg", negatives, "--max-steps", steps, "--no-eval"]
    out, cost = run(command, directory)
    found = json.loads(out.splitlines()[-1])
    return found, cost


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    data = Path(os.environ.get("NCF_PIPE_DATA", REPOSITORY.parent / "shared/data"))
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program (default: 3)")
    parser.add_argument("--binary", type=Path, default=target / "release/ncf-pipe", help="the ncf-pipe to measure")
    parser.add_argument("--peers", type=Path, default=REPOSITORY.parent / "shared/peers", help="where torch_ncf.py is")
    parser.add_argument("--data", type=Path, default=data, help="where ml-1m-ncf is")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the packages (default: this one)")
    parser.add_argument("--work", type=Path, help="where the files go, and stay (default: a temporary one)")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "BENCHMARKS.md", help="the file to write into")
    args = parser.parse_args()
    args.binary, args.data = built(parser, args.binary), args.data.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        args.work = (args.work or Path(temporary)).resolve()
        args.work.mkdir(parents=True, exist_ok=True)
        measure(args)


def measure(args):
    works = [work for work in WORKLOADS if args.only.lower() in work[0].lower()]
    prepared = {data: split(args, data) for data in {work[1] for work in works}}
    found = {work[0]: {"ours": [], "torch": [], "memory": []} for work in works}
    peaks = []
    for _ in range(args.rounds):
        crate = json.loads(output([args.binary.parent / "examples/products"]))
        peaks.append([*crate.values(), *(float(figure) for figure in output([args.python, "-c", PEAK]).split())])
        for work in works:
            settings, npz = prepared[work[1]]
            with tempfile.TemporaryDirectory(dir=args.work) as directory:
                speed, cost = ours(args, settings, work, Path(directory))
                theirs, _ = torch(args, npz, work, Path(directory))
            # It draws all negatives of an epoch before the first step, however few steps are made.
            steps_only = theirs["samples"] / (theirs["train_s"] - theirs["sampling_s"])
            found[work[0]]["ours"].append(speed)
            found[work[0]]["torch"].append(steps_only)
            found[work[0]]["memory"].append(cost["memory"])
            print(f"{work[0]}: {speed:,.0f} against {steps_only:,.0f} samples/s", file=sys.stderr)
    # Of the gemm crate: large squares, best and mean, then a step's products, best and mean; of PyTorch: large squares.
    crate, crate_mean, step, step_mean, peak, peak_mean = (statistics.median(figures) for figures in zip(*peaks))
    rows = []
    for work in works:
        mine, theirs = statistics.median(found[work[0]]["ours"]), statistics.median(found[work[0]]["torch"])
        share = lambda of: f"{100 * mine * work[8] / (of * 1e9):.0f}"
        pairs = [(crate, crate_mean), (peak, peak_mean)]
        shares = [f"{share(best)} / {share(mean)} %" if work[8] else "–" for best, mean in pairs]
        memory = statistics.median(found[work[0]]["memory"]) / GIB
        spread = ", ".join(f"{one / 1e3:,.0f}" for one in found[work[0]]["ours"])
        rows.append([work[0], f"{mine:,.0f}", f"{theirs:,.0f}", f"{mine / theirs:.1f}", work[7], *shares, f"{memory:.2f}", spread])
    head = ["work", "ncf-pipe, samples/s", "PyTorch", "ratio", "goal", "of the gemm crate, best / mean", "of MKL", "peak GiB", "each turn, thousands"]
    torch_version = output([args.python, "-c", "import torch; print(torch.__version__)"])
    text = f"""
Three epochs with the fused engine (Adam, one thread a core), through the whole program, against PyTorch {torch_version} with
tuned loading (dense Adam). ncf-pipe's figures include drawing negatives, shuffling, validation where the split has
rows for it, and checkpoints; PyTorch's are its steps alone, which is in its favour. Medians of {args.rounds} turns, one after
another. Products of two large matrices in the same run, best and mean of some seconds: {crate:.0f} and {crate_mean:.0f} GFLOP/s by
the gemm crate (through candle, {vectors()}), {peak:.0f} and {peak_mean:.0f} by PyTorch (MKL). The products of a step of NeuMF alone, without
anything else of it, by the gemm crate through candle: {step:.0f} and {step_mean:.0f}.

{table(head, rows)}

Machine: {machine()}. Python {platform.python_version()}. Command: `python bench/train.py --rounds {args.rounds}`.
"""
    write_section(args.report, "train", "Training, beside PyTorch", text)


if __name__ == "__main__":
    main()
