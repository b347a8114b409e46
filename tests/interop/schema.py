"""Holds the JSON schema of pipelines against a validator that others wrote, and against the program.

usage: schema.py --binary target/release/ncf-pipe

- The schema accepts every shipped pipeline.
- Whatever the program accepts, the schema accepts, so that no editor marks what runs.
- The schema refuses the mistakes that an editor should mark.

Needs the packages jsonschema and PyYAML. Says what is wrong, and then exits with 1.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]

BASE = """name: probe
params: {n: 4, loss: {kind: bce}, what: gmf}
stages:
  ratings: {kind: synthesize, users: 50, items: 40, interactions: 500}
  ids: {kind: remap, inputs: {interactions: ratings}}
  split: {kind: split, inputs: {dataset: ids}, strategy: leave_one_out}
  pool: {kind: negative_pool, inputs: {split: split}}
  model: {kind: train, inputs: {split: split}, model: {kind: gmf}}
  metrics: {kind: evaluate, inputs: {model: model, split: split, pool: pool}}
"""

# Stages that the program accepts beside those above, one a line.
GOOD = """
{kind: synthesize}
{kind: synthesize, matrix: {users: [10, 20]}, users: "${users}", items: 50, interactions: 200}
{kind: synthesize, matrix: {u: {int_uniform: [20, 29]}, sample: {cells: 3}}, users: "${u}", items: 50, interactions: 200}
{kind: read, path: a.csv, format: csv, separator: "|", columns: {user: 0, item: 1}}
{kind: fetch, files: [{url: "https://example.org/a.zip", members: [a/b]}]}
{kind: binarise, inputs: {interactions: ratings}, threshold: "${n}"}
{kind: split, inputs: {dataset: ids}, strategy: ratio, valid: 0.1, test: 0.2}
{kind: split, inputs: {dataset: ids}, strategy: ratio, valid: 0, test: 0.2, order: random, seed: 3}
{kind: split, inputs: {dataset: ids}, strategy: ratio, order: random, matrix: {a: [1, 2]}, seed: "${a}"}
{kind: negative_pool, inputs: {split: split}, eval: {negatives: 9}, train: {negatives: 2}}
{kind: train, inputs: {split: split}, model: {kind: "${what}", factors: "${n}"}, loss: "${loss}"}
{kind: train, inputs: {split: split}, model: {kind: neumf, factors: 8}, loss: {kind: focal, gamma: 2}, epochs: 3}
{kind: train, inputs: {split: split}, model: {kind: cdae}, optimizer: {kind: adam, learning_rate: 0.01}}
{kind: fit, inputs: {split: split}, model: {kind: popularity}}
{kind: evaluate, inputs: {model: model, split: split}, k: [10, 20], metrics: [hr, ndcg], mask: train}
{kind: recommend, inputs: {model: model, split: split}, k: 5}
{kind: compare, inputs: {runs: metrics}}
{kind: compare, inputs: {runs: [metrics]}}
{kind: check, inputs: {metrics: metrics}, expect: ["metrics.sampled.hr@10 > 0.1"]}
{kind: audit, inputs: {split: split, pool: pool}}
{kind: plot, inputs: {models: model}, figure: {kind: curves, y: [loss]}}
"""

# Stages with a mistake that does not need the rest of the pipeline to be seen, one a line.
BAD = """
{kind: nope}
{inputs: {split: split}}
{kind: synthesize, user: 5}
{kind: synthesize, matrix: {}}
{kind: binarise, inputs: {interactions: ratings}, threshold: 4, x: 1}
{kind: binarise, threshold: 4}
{kind: split, inputs: {dataset: ids}}
{kind: split, inputs: {dataset: ids}, strategy: thirds}
{kind: split, inputs: {dataset: ids}, strategy: leave_one_out, test: 0.2}
{kind: split, inputs: {dataset: ids}, strategy: ratio, tset: 0.2}
{kind: split, strategy: leave_one_out}
{kind: train, inputs: {split: split}, model: gmf}
{kind: train, inputs: {split: split}, model: {kind: gmf}, epoch: 3}
{kind: train, inputs: {split: split}, model: {kind: gmf}, optimizer: {kind: adam, lr: 0.1}}
{kind: evaluate, inputs: {model: model, splt: split}}
{kind: evaluate, inputs: {model: model, split: split}, metrics: [hit]}
{kind: recommend, inputs: {model: model, split: split}, k: [10]}
{kind: plot, inputs: {models: model}, figure: {kind: pie}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True)
    binary = parser.parse_args().binary.resolve()
    schema = json.loads((REPOSITORY / "schemas/pipeline.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    wrong = []

    def complaint(text):
        error = jsonschema.exceptions.best_match(validator.iter_errors(yaml.safe_load(text)))
        return error and f"{error.json_path}: {error.message[:200]}"

    files = sorted((REPOSITORY / "pipelines").glob("*.yaml"))
    for file in files:
        if found := complaint(file.read_text()):
            wrong.append(f"the schema refuses {file.name}: {found}")
    with tempfile.TemporaryDirectory() as directory:
        for stage in GOOD.strip().splitlines():
            text = f"{BASE}  probe: {stage}\n"
            file = Path(directory, "probe.yaml")
            file.write_text(text)
            ran = subprocess.run([binary, "check", file], capture_output=True, text=True)
            if ran.returncode != 0:
                wrong.append(f"the program refuses {stage}: {ran.stderr.partition('×')[2][:200]}")
            if found := complaint(text):
                wrong.append(f"the schema refuses {stage}: {found}")
    for stage in BAD.strip().splitlines():
        if not complaint(f"{BASE}  probe: {stage}\n"):
            wrong.append(f"the schema accepts {stage}")
    if wrong or not files:
        sys.exit("\n".join(wrong) or "no pipelines")
    print(f"{len(files)} pipelines, {len(GOOD.split(chr(10))) - 2} good and {len(BAD.split(chr(10))) - 2} bad stages")


if __name__ == "__main__":
    main()
