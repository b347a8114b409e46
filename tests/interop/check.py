"""Opens the outputs of a run in DuckDB, pandas, polars and pyarrow, and checks them.

usage: check.py --outputs DIR [--pipeline NAME]

For a pipeline with the stages ratings, positives, ids, split, pool, train and evaluate, and perhaps recommend (with its
defaults) and overlap. Checks

- the layout: stated columns and types in each tool, no unsigned integers, zstd, row groups, statistics, footer;
- the contents: equal rows and sums in each tool, order, ids, a disjoint split, no positive in the pool;
- the results: the means in metrics.json follow from per_user.parquet, and HR@10 and the recommended lists follow from
  model.safetensors.

Needs the packages duckdb, numpy, pandas, polars and pyarrow. Says what is wrong, and then exits with 1.
"""

import argparse
import json
import math
import struct
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# A type as DuckDB, pandas, polars and pyarrow call it. Strings and lists may have wide offsets. Views of strings are
# refused: pyarrow cannot compute with them.
TYPES = {
    "bool": ("BOOLEAN", ["bool"], pl.Boolean, pa.types.is_boolean),
    "int8": ("TINYINT", ["int8"], pl.Int8, pa.types.is_int8),
    "int32": ("INTEGER", ["int32"], pl.Int32, pa.types.is_int32),
    "int64": ("BIGINT", ["int64"], pl.Int64, pa.types.is_int64),
    "float32": ("FLOAT", ["float32"], pl.Float32, pa.types.is_float32),
    "float64": ("DOUBLE", ["float64"], pl.Float64, pa.types.is_float64),
    "string": (
        "VARCHAR",
        ["str", "string", "object"],
        pl.String,
        lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    ),
    "list": (
        "INTEGER[]",
        ["object"],
        pl.List(pl.Int32),
        lambda t: (pa.types.is_list(t) or pa.types.is_large_list(t)) and pa.types.is_int32(t.value_type),
    ),
}

RAW = ["int64", "string"]
VALUES = {"rating": ["float32"], "timestamp": ["int64"], "label": ["int8"], "clean": ["bool"]}
RAW_ROWS = {"user_id": RAW, "item_id": RAW, **VALUES}
ROWS = {"user_id": ["int32"], "item_id": ["int32"], **VALUES}
USERS = {"user_id": ["int32"], "raw_user_id": RAW}
ITEMS = {"item_id": ["int32"], "raw_item_id": RAW}

PER_USER = {"user_id": ["int32"], "positives": ["int32"], "sampled_candidates": ["int32"], "sampled_rank": ["float64"]}

# For each file: its columns with the types that each may have, and those columns that may be missing.
FILES = {
    "ratings/interactions.parquet": (RAW_ROWS, {"label", "clean"}),
    "positives/interactions.parquet": (RAW_ROWS, {"clean"}),
    "ids/interactions.parquet": (ROWS, {"clean"}),
    "ids/users.parquet": (USERS, set()),
    "ids/items.parquet": (ITEMS, set()),
    "split/train.parquet": (ROWS, {"clean"}),
    "split/valid.parquet": (ROWS, {"clean"}),
    "split/test.parquet": (ROWS, {"clean"}),
    "split/users.parquet": (USERS, set()),
    "split/items.parquet": (ITEMS, set()),
    "pool/eval.parquet": ({"user_id": ["int32"], "item_id": ["list"]}, set()),
    "train/history.parquet": ({"epoch": ["int32"]}, set()),
    "evaluate/per_user.parquet": (PER_USER, set()),
}
# The same for stages that there may be.
OPTIONAL = {
    "recommend/recommendations.parquet": (
        {"user_id": ["int32"], "item_id": ["int32"], "rank": ["int32"], "score": ["float32"]},
        set(),
    ),
    "recommend/users.parquet": (USERS, set()),
    "recommend/items.parquet": (ITEMS, set()),
    "overlap/overlap.parquet": (
        {
            **{"one": ["string"], "other": ["string"], "k": ["int64"], "users": ["int64"], "of_one_only": ["int64"]},
            **{name: ["float64"] for name in ("overlap", "jaccard", "rank_biased_overlap", "identical")},
        },
        set(),
    ),
    "overlap/lists.parquet": (
        {
            **{"stage": ["string"], "k": ["int64"], "users": ["int64"], "short": ["int64"]},
            **{name: ["float64"] for name in ("coverage", "gini", "popularity", "popularity_rank", "novelty")},
        },
        set(),
    ),
}
# These have further columns, which depend on the settings.
OPEN = {"train/history.parquet", "evaluate/per_user.parquet"}

KINDS = {
    "ratings": {"synthesize", "read"},
    "positives": {"binarise"},
    "ids": {"remap"},
    "split": {"split", "remap"},  # The tables of ids are those of `remap`, byte for byte.
    "pool": {"negative_pool"},
    "train": {"train"},
    "evaluate": {"evaluate"},
    "recommend": {"recommend", "remap"},  # As in `split`.
    "overlap": {"overlap"},
}

ORDER = ["user_id", "timestamp", "item_id", "rating", "clean", "label"]
SCHEMA_VERSION = "1"
MAX_ROW_GROUP = 262_144
K = 10


class Checks:
    """Counts what was checked and keeps what failed."""

    def __init__(self):
        self.count = 0
        self.failures = []

    def that(self, holds, message):
        self.count += 1
        if not holds:
            self.failures.append(message)

    def equal(self, found, expected, what):
        self.that(found == expected, f"{what}: found {found!r}, expected {expected!r}")

    def close(self, found, expected, tolerance, what):
        close = math.isclose(found, expected, rel_tol=0, abs_tol=tolerance)
        self.that(close, f"{what}: found {found!r}, expected {expected!r} ± {tolerance}")


# ---- the layout ----------------------------------------------------------------------------------------------------


def type_of(arrow):
    """The name of a pyarrow type in TYPES, or None."""
    return next((name for name, (_, _, _, holds) in TYPES.items() if holds(arrow)), None)


def check_layout(check, path, name):
    """What holds for every file, whatever its columns. Returns the types by column."""
    file = pq.ParquetFile(path)
    types = {field.name: type_of(field.type) for field in file.schema_arrow}
    for field in file.schema_arrow:
        check.that(types[field.name], f"{name}: column `{field.name}` has type {field.type}, which is not one of ours")
    for j in range(len(file.schema)):
        logical = str(file.schema.column(j).logical_type)
        check.that("isSigned=false" not in logical, f"{name}: column {j} is unsigned in the file: {logical}")

    meta = file.metadata
    pairs = {key.decode(): value.decode() for key, value in (meta.metadata or {}).items()}
    stage = name.split("/")[0]
    version = pairs.get("ncf_pipe.schema_version")
    check.equal(version, SCHEMA_VERSION, f"{name}: `ncf_pipe.schema_version` in the footer")
    kind = pairs.get("ncf_pipe.kind")
    check.that(kind in KINDS.get(stage, {kind}) and kind, f"{name}: `ncf_pipe.kind` in the footer is {kind!r}")

    bounds = "select row_group_id, path_in_schema from parquet_metadata(?) where stats_max_value is not null"
    bounded = set(duckdb.execute(bounds, [str(path)]).fetchall())
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        check.that(group.num_rows <= MAX_ROW_GROUP, f"{name}: row group {g} has {group.num_rows} rows")
        for j in range(group.num_columns if group.num_rows else 0):
            chunk = group.column(j)
            check.equal(chunk.compression, "ZSTD", f"{name}: compression of `{chunk.path_in_schema}` in row group {g}")
            # Statistics of lists say little, and readers do not use them.
            if types.get(chunk.path_in_schema) not in (None, "list"):
                statistics = chunk.statistics
                empty = statistics is not None and statistics.null_count == chunk.num_values
                known = statistics is not None and statistics.has_null_count and (statistics.has_min_max or empty)
                # The bounds of floats are in the order of IEEE 754, which pyarrow passes over and DuckDB reads.
                known = known or (g, chunk.path_in_schema) in bounded
                check.that(known, f"{name}: `{chunk.path_in_schema}` in row group {g} has no statistics")
    return types


def check_types(check, path, name, types):
    """Each tool sees the stated columns with the stated types."""
    columns, optional = (FILES | OPTIONAL).get(name, ({}, set()))
    expected = [column for column in columns if column in types or column not in optional]
    if columns:
        found = [column for column in types if column in columns or name not in OPEN]
        check.equal(found, expected, f"{name}: columns")
    for column in expected:
        found, stated = types.get(column), columns[column]
        check.that(found in stated, f"{name}: `{column}` is {found}, expected {' or '.join(stated)}")
    rows = duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    in_duckdb = {row[0]: row[1] for row in rows}
    in_pandas = pd.read_parquet(path).dtypes
    in_polars = pl.read_parquet_schema(path)
    for column, kind in types.items():
        if kind is None:
            continue
        duck, pandas, polars, _ = TYPES[kind]
        check.equal(in_duckdb.get(column), duck, f"{name}: `{column}` in DuckDB")
        check.that(str(in_pandas.get(column)) in pandas, f"{name}: `{column}` in pandas is {in_pandas.get(column)}")
        check.equal(in_polars.get(column), polars, f"{name}: `{column}` in polars")


# ---- the contents --------------------------------------------------------------------------------------------------
# A column's totals: how many values it has, and their sum (for text: its length; for lists: of all elements).


def totals_duckdb(path, types):
    sums = {"bool": "sum({}::INT)", "string": "sum(length({}))", "list": "sum(list_sum({}))"}
    parts = ["count(*)"]
    for column, kind in types.items():
        quoted = '"' + column.replace('"', '""') + '"'
        default = "sum({}::DOUBLE)" if kind.startswith("float") else "sum({})"
        parts += [f"count({quoted})", sums.get(kind, default).format(quoted)]
    rows, *values = duckdb.execute(f"SELECT {', '.join(parts)} FROM read_parquet(?)", [str(path)]).fetchone()
    return rows, {c: (values[2 * i], values[2 * i + 1] or 0) for i, c in enumerate(types)}


def totals_pandas(path, types):
    frame = pd.read_parquet(path)
    totals = {}
    for column, kind in types.items():
        values = frame[column].dropna()
        if kind == "string":
            total = values.str.len().sum()
        elif kind == "list":
            total = sum(int(items.sum()) for items in values)
        else:
            total = values.astype("float64" if kind.startswith("float") else "int64").sum()
        totals[column] = (len(values), total)
    return len(frame), totals


def totals_polars(path, types):
    frame = pl.read_parquet(path)
    totals = {}
    for column, kind in types.items():
        values = frame[column].drop_nulls()
        if kind == "string":
            numbers = values.str.len_chars()
        elif kind == "list":
            numbers = values.explode()
        else:
            numbers = values
        totals[column] = (len(values), numbers.cast(pl.Float64 if kind.startswith("float") else pl.Int64).sum())
    return frame.height, totals


def totals_pyarrow(path, types):
    table = pq.read_table(path)
    totals = {}
    for column, kind in types.items():
        values = table[column].drop_null()
        if kind == "string":
            numbers = pc.utf8_length(values)
        elif kind == "list":
            numbers = pc.list_flatten(values)
        else:
            numbers = values
        wide = numbers.cast(pa.float64() if kind.startswith("float") else pa.int64())
        totals[column] = (len(values), pc.sum(wide, min_count=0).as_py())
    return table.num_rows, totals


def check_totals(check, path, name, types):
    """All tools see the same rows and the same sums."""
    types = {column: kind for column, kind in types.items() if kind}
    rows, expected = totals_pyarrow(path, types)
    for tool, totals in ("DuckDB", totals_duckdb), ("pandas", totals_pandas), ("polars", totals_polars):
        found_rows, found = totals(path, types)
        check.equal(found_rows, rows, f"{name}: rows in {tool}, against pyarrow")
        for column, (count, total) in expected.items():
            check.equal(found[column][0], count, f"{name}: values of `{column}` in {tool}, against pyarrow")
            # Sums of floats depend on the order of the terms.
            tolerance = 1e-9 * max(1.0, abs(total)) if types[column].startswith("float") else 0
            check.close(found[column][1], total, tolerance, f"{name}: sum of `{column}` in {tool}, against pyarrow")
    return rows


def check_order(check, name, frame):
    """Interactions are sorted by user, time, item and the rest."""
    keys = [column for column in ORDER if column in frame.columns]
    check.that(frame.equals(frame.sort(keys, maintain_order=True)), f"{name}: not sorted by {', '.join(keys)}")


def check_ids(check, read):
    """Dense ids count from 0 in the order of the raw ids, and lead back to the raw interactions."""
    raw, dense = read("positives/interactions.parquet"), read("ids/interactions.parquet")
    for name, column in ("users", "user_id"), ("items", "item_id"):
        ids = read(f"ids/{name}.parquet")
        counted = pl.int_range(ids.height, dtype=pl.Int32, eager=True)
        check.that((ids[column] == counted).all(), f"ids/{name}: ids have gaps")
        distinct = raw[column].unique().sort()
        check.that(ids[f"raw_{column}"].equals(distinct), f"ids/{name}: not the raw ids, ascending")
        check.that(read(f"split/{name}.parquet").equals(ids), f"split/{name}: not those of `ids`")
        dense = dense.join(ids, on=column, maintain_order="left")
        dense = dense.with_columns(pl.col(f"raw_{column}").alias(column)).drop(f"raw_{column}")
    check.that(dense.select(raw.columns).equals(raw), "ids/interactions: not the interactions of `positives`")
    ratings = read("ratings/interactions.parquet")
    check.that(raw.height <= ratings.height, "positives/interactions: has more rows than ratings/interactions")


def check_split(check, read):
    """Nothing is lost, nothing is in two parts, and what is held out comes last."""
    pairs = ["user_id", "item_id"]
    parts = {part: read(f"split/{part}.parquet") for part in ("train", "valid", "test")}
    whole = pl.concat(parts.values())
    keys = [column for column in ORDER if column in whole.columns]
    interactions = read("ids/interactions.parquet").select(whole.columns)
    check.that(whole.sort(keys).equals(interactions.sort(keys)), "split: the parts together are not ids/interactions")
    for one, other in ("train", "valid"), ("train", "test"), ("valid", "test"):
        shared = parts[one].join(parts[other], on=pairs, how="semi").height
        check.equal(shared, 0, f"split: rows of `{one}` whose user and item are in `{other}` too")
    for part in "valid", "test":
        check.that(parts[part]["user_id"].is_unique().all(), f"split/{part}: a user has more than one row")
    last = parts["train"].group_by("user_id").agg(last=pl.col("timestamp").max())
    for part in "valid", "test":
        early = parts[part].join(last, on="user_id").filter(pl.col("timestamp") < pl.col("last")).height
        check.equal(early, 0, f"split/{part}: rows that are older than the user's training rows")
    return parts


def check_pool(check, read, parts):
    """One list for each evaluated user: sorted, without repetition and without any positive of the user."""
    pool, items = read("pool/eval.parquet"), read("ids/items.parquet").height
    held_out = pl.concat([parts["valid"], parts["test"]])["user_id"].unique().sort()
    check.that(pool["user_id"].equals(held_out), "pool/eval: not one row for each held-out user, ascending")
    positives = pl.concat(parts.values()).filter(pl.col("label") == 1).select("user_id", "item_id").unique()
    long = pool.explode("item_id").drop_nulls()
    check.that(long["item_id"].is_between(0, items - 1).all(), "pool/eval: an item that does not exist")
    leaked = long.join(positives, on=["user_id", "item_id"], how="semi").height
    check.equal(leaked, 0, "pool/eval: candidates that are positives of their user")
    check.that(long.equals(long.unique().sort("user_id", "item_id")), "pool/eval: a list is not strictly ascending")
    lengths = pool.select("user_id", n=pl.col("item_id").list.len().cast(pl.Int64))
    wanted = lengths["n"].max() or 0
    free = lengths.join(positives.group_by("user_id").agg(p=pl.len().cast(pl.Int64)), on="user_id", how="left")
    expected = free.select(pl.min_horizontal(pl.lit(wanted), items - pl.col("p").fill_null(0)))
    full = lengths["n"].equals(expected.to_series())
    check.that(full, f"pool/eval: a list has neither {wanted} items nor all there are")


# ---- the results ---------------------------------------------------------------------------------------------------


def check_means(check, metrics, per_user):
    """The means in metrics.json are those of the columns of per_user.parquet."""
    users = per_user["user_id"]
    check.that(users.is_sorted() and users.is_unique().all(), "per_user: users not ascending")
    check.that(metrics["protocols"], "metrics.json: no protocols")
    for protocol, found in metrics["protocols"].items():
        check.equal(found["n_users"], per_user.height, f"metrics.json: n_users of `{protocol}`")
        for metric, mean in found["metrics"].items():
            column = f"{protocol}_{metric.replace('@', '_')}"
            if column not in per_user.columns:
                check.that(False, f"per_user: no column `{column}` for `{metric}`; there are {per_user.columns}")
                continue
            values = per_user[column].drop_nulls().to_numpy()
            if mean is None:
                check.equal(len(values), 0, f"per_user: values of `{column}`, whose mean is null")
            else:
                check.close(mean, float(np.mean(values)), 1e-12, f"metrics.json: `{metric}` of `{protocol}`")


def read_safetensors(path):
    """Tensors by name. The format: length of the header (u64, little endian), header (JSON), data."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        start, end = (8 + length + offset for offset in info["data_offsets"])
        dtype = {"F32": "<f4", "F64": "<f8"}[info["dtype"]]
        tensors[name] = np.frombuffer(data[start:end], dtype).reshape(info["shape"])
    return tensors


def hit_rate(above, equal):
    """HR@10 of one positive with this many negatives above it and equal to it; ties count by their expectation."""
    return float(np.mean(np.clip((K - above) / (equal + 1), 0, 1)))


def check_model(check, tensors, metrics, read, parts):
    """HR@10 of the sampled protocol follows from the tensors alone: logit = h · (p_u ∘ q_i) + b."""
    names = ["embed_item_GMF.weight", "embed_user_GMF.weight", "predict_layer.bias", "predict_layer.weight"]
    check.equal(sorted(tensors), names, "model.safetensors: names")
    q, p, b, h = (tensors[name] for name in names)
    n_users, n_items = read("ids/users.parquet").height, read("ids/items.parquet").height
    factors = p.shape[-1]
    shapes = [(n_items, factors), (n_users, factors), (1,), (1, factors)]
    check.equal([t.shape for t in (q, p, b, h)], shapes, "model.safetensors: shapes")
    check.that(all(np.isfinite(t).all() for t in (q, p, b, h)), "model.safetensors: a value is not finite")
    sampled = metrics["protocols"].get("sampled")
    if sampled is None or f"hr@{K}" not in sampled["metrics"]:
        check.that(False, f"metrics.json: no `hr@{K}` of the protocol `sampled`")
        return

    held_out = parts[metrics["on"]].filter(pl.col("label") == 1).select("user_id", positive="item_id")
    long = held_out.join(read("pool/eval.parquet"), on="user_id").explode("item_id").sort("user_id")
    if long.is_empty():
        check.that(False, f"split/{metrics['on']}: no user with a positive and candidates")
        return
    user, positive, item = (long[c].to_numpy() for c in ("user_id", "positive", "item_id"))
    starts = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])

    def compare(positives, negatives):
        above = np.add.reduceat((negatives > positives).astype(np.int64), starts)
        return hit_rate(above, np.add.reduceat((negatives == positives).astype(np.int64), starts))

    def score(users, items):
        # In the factors' order and in float32, as the program adds them up, so that near ties fall the same way.
        weighted, total = p * h, np.zeros(len(users), np.float32)
        for k in range(factors):
            total += weighted[users, k] * q[items, k]
        return total + b[0]

    found = compare(score(user, positive), score(user, item))
    check.close(sampled["metrics"][f"hr@{K}"], found, 1e-6, f"metrics.json: hr@{K} of the model, recomputed in numpy")
    if sampled.get("popularity"):
        train = parts["train"].filter(pl.col("label") == 1)
        counts = np.bincount(train["item_id"].to_numpy(), minlength=n_items)
        found = compare(counts[positive], counts[item])
        check.close(sampled["popularity"][f"hr@{K}"], found, 1e-6, f"metrics.json: hr@{K} of popularity, recomputed")


def check_recommendations(check, tensors, read, parts):
    """The lists follow from the tensors: the ten greatest logits that the user has neither in training nor validation."""
    found = read("recommend/recommendations.parquet")
    for name in "users", "items":
        check.that(read(f"recommend/{name}.parquet").equals(read(f"split/{name}.parquet")), f"recommend/{name}: not the split's")
    q, p, b, h = (tensors[name] for name in sorted(tensors))
    weighted, scores = p * h, np.zeros((len(p), len(q)), np.float32)
    for k in range(p.shape[-1]):
        scores += weighted[:, k : k + 1] * q[:, k]
    scores += b[0]
    for part in "train", "valid":
        scores[parts[part]["user_id"].to_numpy(), parts[part]["item_id"].to_numpy()] = -np.inf
    # A stable sort leaves equal scores in the order of ids.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    users, places = np.nonzero(np.isfinite(np.take_along_axis(scores, order, axis=1)))
    expected = pl.DataFrame(
        {"user_id": users.astype(np.int32), "item_id": order[users, places].astype(np.int32), "rank": (places + 1).astype(np.int32)}
    )
    check.that(found.drop("score").equals(expected), "recommend/recommendations: not the best items, recomputed in numpy")
    if found.height == expected.height:
        gap = np.abs(found["score"].to_numpy() - scores[users, order[users, places]]).max(initial=0)
        check.close(float(gap), 0, 1e-5, "recommend/recommendations: scores, recomputed in numpy")


def check_run(check, root):
    """All files of one run."""
    rows = {}
    found = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.parquet"))}
    for name in FILES:
        check.that(name in found, f"{name}: missing")
    for name, path in found.items():
        types = check_layout(check, path, name)
        check_types(check, path, name, types)
        rows[name] = check_totals(check, path, name, types)
        if name in FILES and "timestamp" in FILES[name][0]:
            check_order(check, name, pl.read_parquet(path))
    if check.failures:
        return rows  # What follows needs files of the stated layout.

    def read(name):
        return pl.read_parquet(found[name])

    check_ids(check, read)
    parts = check_split(check, read)
    check_pool(check, read, parts)
    metrics = json.loads((root / "evaluate/metrics.json").read_text())
    check_means(check, metrics, read("evaluate/per_user.parquet"))
    tensors = read_safetensors(root / "train/model.safetensors")
    check_model(check, tensors, metrics, read, parts)
    if "recommend/recommendations.parquet" in found:
        check_recommendations(check, tensors, read, parts)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=Path, required=True, help="what `run` was given as --outputs")
    parser.add_argument("--pipeline", default="quickstart", help="the pipeline's name (default: quickstart)")
    args = parser.parse_args()
    root = args.outputs / args.pipeline
    if not root.is_dir():
        sys.exit(f"`{root}` is not a directory: run the pipeline first")
    check = Checks()
    rows = check_run(check, root)
    for name, count in rows.items():
        print(f"{count:>10,} rows  {name}")
    for failure in check.failures:
        print(f"failed: {failure}", file=sys.stderr)
    if check.failures:
        sys.exit(1)
    versions = ", ".join(f"{m.__name__} {m.__version__}" for m in (duckdb, pd, pl, pa))
    print(f"{check.count} checks hold ({versions})")


if __name__ == "__main__":
    main()
