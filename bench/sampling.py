"""Measures drawing negatives beside the vectorised rejection sampling of torch_ncf.py of the peers.

usage: sampling.py [--turns 5] [--users 45548] [--items 57396] [--rows 1672520] [--negatives 12]

Both sides sort the same pairs and draw so many negatives for each: 20,070,240 in all by default, at the sizes of the Yelp
data of Wang et al. (2021). They take turns; the figures are medians. ncf-pipe draws on all cores, numpy has one. Needs
numpy, and `cargo build --release --example sampling`. Writes into BENCHMARKS.md.
"""

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from prep import GIB, REPOSITORY, built, machine, table, write_section


def pairs(args):
    """Distinct pairs whose users and items are more frequent the lower their number, sorted by user."""
    random, found = np.random.default_rng(1), np.empty(0, np.int64)
    while len(found) < args.rows:
        users = (random.random(args.rows) ** 2 * args.users).astype(np.int64)
        items = (random.random(args.rows) ** 2.5 * args.items).astype(np.int64)
        found = np.unique(np.concatenate([found, users * args.items + items]))
    found = np.sort(random.choice(found, args.rows, replace=False))
    return found // args.items, found % args.items


def by_numpy(users, items, args, turn):
    """The lines of `epoch_tensors` and `seen` in torch_ncf.py that draw negatives."""
    random, width = np.random.default_rng(turn), args.items
    start = time.perf_counter()
    keys = np.sort(users * width + items)

    def seen(u, i):
        k = u * width + i
        j = np.searchsorted(keys, k)
        j[j == len(keys)] = 0
        return keys[j] == k

    u = np.repeat(users, args.negatives)
    i = random.integers(0, width, len(u))
    bad = np.flatnonzero(seen(u, i))
    while len(bad):
        i[bad] = random.integers(0, width, len(bad))
        bad = bad[seen(u[bad], i[bad])]
    return time.perf_counter() - start, int(i.sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--users", type=int, default=45_548)
    parser.add_argument("--items", type=int, default=57_396)
    parser.add_argument("--rows", type=int, default=1_672_520)
    parser.add_argument("--negatives", type=int, default=12)
    parser.add_argument("--binary", type=Path, default=target / "release/examples/sampling", help="what to measure")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "BENCHMARKS.md", help="the file to write into")
    args = parser.parse_args()
    args.binary = built(parser, args.binary)
    users, items = pairs(args)
    ours, theirs, sums = [], [], []
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "pairs.u32"
        np.concatenate([users, items]).astype("<u4").tofile(file)
        command = [args.binary, file, args.users, args.items, args.negatives]
        with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            for turn in range(args.turns):
                print("go", file=program.stdin, flush=True)
                seconds, total = program.stdout.readline().split()
                ours.append(float(seconds))
                seconds, other = by_numpy(users, items, args, turn)
                theirs.append(seconds)
                sums.append(abs(int(total) / other - 1))
            status = Path(f"/proc/{program.pid}/status").read_text()
            peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
            program.stdin.close()
    # Means of 20 million draws from the same law: beyond this, one of them draws from another.
    assert max(sums) < 0.002, sums
    draws, median = args.rows * args.negatives, statistics.median
    rows = [
        [name, f"{median(costs):.3f}", f"{draws / median(costs) / 1e6:.0f}", ", ".join(f"{one:.3f}" for one in costs)]
        for name, costs in [("ncf-pipe", ours), (f"numpy {np.__version__}", theirs)]
    ]
    text = f"""
{draws:,} negatives for {args.rows:,} pairs of {args.users:,} users and {args.items:,} items, sorting the pairs included; medians of
{args.turns} turns, one after another. ncf-pipe is {median(theirs) / median(ours):.1f} times as fast.
Its process has {peak / GIB:.2f} GiB at its peak, of which the pairs are {16 * args.rows / GIB:.2f} and the draws {4 * draws / GIB:.2f}.

{table(["program", "seconds", "million draws/s", "each turn"], rows)}

Machine: {machine()}. Python {platform.python_version()}. Command: `python bench/sampling.py --turns {args.turns}`.
"""
    print(text)
    write_section(args.report, "sampling", "Sampling, beside numpy", text)


if __name__ == "__main__":
    main()
