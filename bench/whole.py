"""Measures the whole runs of the notebooks at their sizes, and writes the figures into BENCHMARKS.md.

usage: whole.py [--rounds 3]

Each turn trains and evaluates from a prepared split, through the whole program: start, reading, training, ranking,
writing, hashing. Wall seconds of the process, medians. The notebooks' own figures are those that they print, on a hosted
GPU.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from prep import GIB, REPOSITORY, built, machine, output, run, table, write_section

# Name, stages, settings, what the notebook took, goal.
WORKS = [
    ("an epoch of GMF f=32 on ML-1M, 11.5 M scores", "ml1m", ["model=gmf"], "19 to 20 s", "1.5 s"),
    ("an epoch of NeuMF f=32 on ML-1M, 11.5 M scores", "ml1m", ["model=neumf"], "–", "10 s"),
    ("10 epochs of GMF f=32 with T-CE on Yelp, full ranking", "yelp", [], "1,134 s", "30 s"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--binary", type=Path, default=target / "release/ncf-pipe", help="the ncf-pipe to measure")
    parser.add_argument("--work", type=Path, help="where the files go, and stay (default: a temporary one)")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "BENCHMARKS.md", help="the file to write into")
    args = parser.parse_args()
    args.binary = built(parser, args.binary)
    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        command = [args.binary, "-q", "run", REPOSITORY / "bench/whole.yaml", "--store", work / "store"]
        command += ["--outputs", work / "outputs"]
        output([*command, "--only", "ml1m_pool", "--only", "yelp_split"])
        costs = {name: [] for name, *_ in WORKS}
        for _ in range(args.rounds):
            for name, stage, settings, *_ in WORKS:
                sets = [part for setting in settings for part in ("--set", setting)]
                force = ["--only", stage, "--force", stage, "--force", f"{stage}_train"]
                with tempfile.TemporaryDirectory(dir=work) as directory:
                    costs[name].append(run([*command, *sets, *force], Path(directory))[1])
                print(f"{name}: {costs[name][-1]['wall']:.2f} s", file=sys.stderr)
    rows = []
    for name, _, _, notebook, goal in WORKS:
        median = {key: statistics.median(cost[key] for cost in costs[name]) for key in ("wall", "cpu", "memory")}
        turns = ", ".join(f"{cost['wall']:.2f}" for cost in costs[name])
        rows.append([name, f"{median['wall']:.2f}", notebook, goal, f"{median['cpu']:.1f}", f"{median['memory'] / GIB:.2f}", turns])
    head = ["work", "seconds", "the notebook", "goal", "processor seconds", "peak GiB", "each turn"]
    text = f"""
From a prepared split to `metrics.json`, through the whole program, on made-up interactions of the notebooks' sizes.

{table(head, rows)}

Machine: {machine()}. Command: `python bench/whole.py --rounds {args.rounds}`.
"""
    write_section(args.report, "whole", "The notebooks' runs, whole", text)


if __name__ == "__main__":
    main()
