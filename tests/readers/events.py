"""Reads the files of a run's raw events by DuckDB and by pyarrow, and prints what each finds, as JSON."""

import json
import sys

import duckdb
import pyarrow.compute as pc
import pyarrow.dataset as ds

folder = sys.argv[1]

database = duckdb.connect()
database.execute("SET TimeZone = 'UTC'")
files = f"'{folder}/*.parquet'"
described = database.execute(f"DESCRIBE SELECT * FROM {files}").fetchall()
by_duckdb = {
    "columns": {row[0]: row[1] for row in described},
    "rows": database.execute(f"SELECT count(*) FROM {files}").fetchone()[0],
    "runs": [row[0] for row in database.execute(f"SELECT DISTINCT test_run_id FROM {files}").fetchall()],
    "first": database.execute(f"SELECT min(timestamp)::TEXT FROM {files}").fetchone()[0],
    "errors": database.execute(f"SELECT error, count(*) FROM {files} GROUP BY 1 ORDER BY 1").fetchall(),
    "median": database.execute(
        f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FROM {files}").fetchone()[0],
    "said": sorted(
        [row[0].decode(), row[1].decode()]
        for row in database.execute(
            f"SELECT DISTINCT key, value FROM parquet_kv_metadata({files}) WHERE key <> 'groundswell.version'").fetchall()),
}

table = ds.dataset(folder, format="parquet").to_table()
errors = table.group_by("error").aggregate([([], "count_all")]).to_pylist()
by_pyarrow = {
    "columns": {field.name: str(field.type) for field in table.schema},
    "rows": table.num_rows,
    "runs": pc.unique(table["test_run_id"]).to_pylist(),
    "first": pc.min(table["timestamp"]).as_py().isoformat(),
    "errors": sorted(([row["error"], row["count_all"]] for row in errors), key=lambda row: row[0] or "~"),
    "median": pc.quantile(table["latency_ms"], q=0.5)[0].as_py(),
}

json.dump({"duckdb": by_duckdb, "pyarrow": by_pyarrow}, sys.stdout)
