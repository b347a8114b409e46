"""Builds what is measured and runs the whole comparison, one program after another; all figures go to BENCHMARKS.md.

usage: all.py [--rounds 3]

Beside ncf-pipe: PyTorch (training, CDAE, ranking), numpy (sampling), polars and pandas (preparation). Takes about an hour
on two cores; nothing else should run meanwhile. Needs numpy, pandas, polars, pyarrow and torch, and the peers.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program (default: 3)")
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--bins", "--examples"], cwd=HERE.parent, check=True)
    rounds = str(args.rounds)
    failed = []
    for script, *options in [
        ("train.py", "--rounds", rounds),
        ("cdae.py", "--rounds", rounds),
        ("ranking.py", "--turns", rounds),
        ("sampling.py", "--turns", rounds),
        ("whole.py", "--rounds", rounds),
        ("prep.py", "--rows", "20000000", "--rounds", rounds, "--pandas-rounds", "1", "--order", "user"),
    ]:
        start = time.monotonic()
        print(f"{script} {' '.join(options)}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, HERE / script, *options], check=False).returncode != 0:
            failed.append(script)
        print(f"{script}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
