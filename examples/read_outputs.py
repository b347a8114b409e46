"""Opens the outputs of the quickstart in DuckDB, pandas and polars.

    ncf-pipe run pipelines/quickstart.yaml
    python examples/read_outputs.py outputs/quickstart        # needs duckdb, pandas, polars, pyarrow
"""
import json
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl

out = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/quickstart")

metrics = json.loads((out / "evaluate/metrics.json").read_text())
print("HR@10:", metrics["protocols"]["sampled"]["metrics"]["hr@10"])

# Which users are served badly, and how active are they? Raw ids are in users.parquet.
print(duckdb.sql(f"""
    select u.raw_user_id, m.sampled_rank, count(*) as train_rows
    from '{out}/evaluate/per_user.parquet' m
    join '{out}/split/users.parquet' u using (user_id)
    join '{out}/split/train.parquet' t using (user_id)
    group by all order by m.sampled_rank desc limit 5"""))

train = pd.read_parquet(out / "split/train.parquet")
print(train.groupby("item_id").size().sort_values(ascending=False).head())

pool = pl.read_parquet(out / "pool/eval.parquet")
print(pool.select(pl.col("item_id").list.len().mean().alias("negatives a user")))
