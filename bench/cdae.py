"""Measures training of CDAE beside PyTorch, and writes the figures into BENCHMARKS.md.

usage: cdae.py

ncf-pipe trains epochs of CDAE on MovieLens 100K through the whole program; PyTorch makes steps of the same model (a sparse
first layer by EmbeddingBag, dense Adam) on the same rows, with negatives that are not checked, which costs it nothing. The
programs take turns; the figures are medians. Needs numpy, polars and torch.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from prep import GIB, REPOSITORY, built, machine, output, run, table, write_section

TORCH = """
import json, sys, time
import numpy as np, polars as pl, torch
train, hidden, batch, negatives, steps = sys.argv[1], *map(int, sys.argv[2:])
rows = pl.read_parquet(train).select("user_id", "item_id").to_numpy().astype(np.int64)
n_users, n_items = rows.max(0) + 1
history = [rows[rows[:, 0] == user, 1] for user in range(n_users)]

class Cdae(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.item_in = torch.nn.EmbeddingBag(n_items, hidden, mode="sum")
        self.user = torch.nn.Embedding(n_users, hidden)
        self.bias = torch.nn.Parameter(torch.zeros(hidden))
        self.item_out = torch.nn.Embedding(n_items, hidden)
        self.out_bias = torch.nn.Embedding(n_items, 1)

    def forward(self, users, items):
        distinct, slots = np.unique(users, return_inverse=True)
        own = [history[user] for user in distinct]
        starts = torch.from_numpy(np.cumsum([0] + [len(one) for one in own[:-1]]))
        flat = torch.from_numpy(np.concatenate(own))
        mask = (torch.rand(len(flat)) < 0.5) * 2.0
        z = self.item_in(flat, starts, per_sample_weights=mask) + self.user(torch.from_numpy(distinct)) + self.bias
        z = torch.sigmoid(z)[torch.from_numpy(slots)]
        items = torch.from_numpy(items)
        return (z * self.item_out(items)).sum(1) + self.out_bias(items).squeeze(1)

torch.manual_seed(1)
rng, model = np.random.default_rng(1), Cdae()
optimizer, loss = torch.optim.Adam(model.parameters()), torch.nn.BCEWithLogitsLoss()
users = np.repeat(rows[:, 0], 1 + negatives)
items = rng.integers(0, n_items, len(users)); items[::1 + negatives] = rows[:, 1]
labels = np.zeros(len(users), np.float32); labels[::1 + negatives] = 1
order = rng.permutation(len(users))
def step(k):
    one = np.take(order, range(k * batch, (k + 1) * batch), mode="wrap")
    optimizer.zero_grad()
    loss(model(users[one], items[one]), torch.from_numpy(labels[one])).backward()
    optimizer.step()
for k in range(5):
    step(k)
start = time.perf_counter()
for k in range(steps):
    step(k)
print(json.dumps(steps * batch / (time.perf_counter() - start)))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    data = Path(os.environ.get("NCF_PIPE_DATA", REPOSITORY.parent / "shared/data"))
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program (default: 3)")
    parser.add_argument("--steps", type=int, default=400, help="steps of PyTorch (default: 400)")
    parser.add_argument("--binary", type=Path, default=target / "release/ncf-pipe", help="the ncf-pipe to measure")
    parser.add_argument("--data", type=Path, default=data, help="where ml-100k is")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the packages (default: this one)")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "BENCHMARKS.md", help="the file to write into")
    args = parser.parse_args()
    args.binary = built(parser, args.binary)
    with tempfile.TemporaryDirectory() as work:
        measure(args, Path(work))


def measure(args, work):
    command = [args.binary, "-q", "run", REPOSITORY / "bench/cdae.yaml", "--json", "--set", f"data={args.data.resolve()}"]
    command += ["--store", work / "store", "--outputs", work / "outputs"]
    output([*command, "--only", "split"])
    found, memory = {"ours": [], "torch": []}, []
    for _ in range(args.rounds):
        out, cost = run([*command, "--only", "cdae", "--force", "cdae"], work)
        stages = json.loads(out.splitlines()[-1])["stages"]
        found["ours"].append(next(stage["facts"] for stage in stages if stage["name"] == "cdae")["samples_per_second"])
        memory.append(cost["memory"])
        train = work / "outputs/bench_cdae/split/train.parquet"
        found["torch"].append(json.loads(output([args.python, "-c", TORCH, train, 200, 256, 4, args.steps])))
        print(f"{found['ours'][-1]:,.0f} against {found['torch'][-1]:,.0f} samples/s", file=sys.stderr)
    mine, theirs = (statistics.median(found[name]) for name in ("ours", "torch"))
    spread = [", ".join(f"{one / 1e3:,.0f}" for one in found[name]) for name in ("ours", "torch")]
    row = [f"{mine:,.0f}", f"{theirs:,.0f}", f"{mine / theirs:.1f}", f"{statistics.median(memory) / GIB:.2f}", *spread]
    head = ["ncf-pipe, samples/s", "PyTorch", "ratio", "peak GiB", "each turn, thousands", "PyTorch's"]
    torch_version = output([args.python, "-c", "import torch; print(torch.__version__)"])
    text = f"""
CDAE with 200 hidden units on MovieLens 100K (ratings of 4 and 5), batch 256, 4 negatives, Adam, against steps of PyTorch
{torch_version} (`EmbeddingBag` for the first layer, dense Adam, negatives not checked). Medians of {args.rounds} turns, one after
another.

{table(head, [row])}

Machine: {machine()}. Python {platform.python_version()}. Command: `python bench/cdae.py --rounds {args.rounds}`.
"""
    write_section(args.report, "cdae", "Training of CDAE, beside PyTorch", text)


if __name__ == "__main__":
    main()
