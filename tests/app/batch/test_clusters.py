"""docs/clusters.md as it stands, on Spark and Ray; neither is a dependency here.

`make test-clusters` installs them; Spark needs Java, too.
"""

import os
import re
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.app.batch.conftest import answers, records
from tests.app.batch.test_command import environment
from tests.app.conftest import publish, write_model
from tests.conftest import ROOT

BEFORE = {
    "pyspark": (
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.master('local[2]').config('spark.ui.enabled', 'false')"
        ".config('spark.driver.bindAddress', '127.0.0.1').config('spark.driver.host', '127.0.0.1')"
        ".getOrCreate()\n"
    ),
    "ray": (
        "import ray\nray.init(num_cpus=2, include_dashboard=False, _node_ip_address='127.0.0.1')\n"
    ),
}


@pytest.mark.clusters
@pytest.mark.parametrize("engine", BEFORE)
def test_the_documents_code_answers_every_row(engine: str, tmp_path: Path) -> None:
    rows = records(500)
    publish(write_model(tmp_path / "model"), tmp_path / "cache", tmp_path / "dvc.lock")
    (tmp_path / "in").mkdir()
    for part in range(2):
        table = pa.Table.from_pylist(rows[part * 250 : part * 250 + 250])
        parquet.write_table(table, tmp_path / "in" / f"{part}.parquet")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/clusters.md").read_text(), re.S)
    (code,) = [block for block in blocks if ("ray." in block) == (engine == "ray")]
    python = os.environ["CLUSTER_PYTHON"]
    settings = {
        "PYSPARK_PYTHON": python,
        "SERVE_LOCK_FILE": str(tmp_path / "dvc.lock"),
        "SERVE_MODEL_CACHE": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [python, "-c", BEFORE[engine] + code],
        cwd=tmp_path,
        env=environment() | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = parquet.read_table(tmp_path / "out").to_pylist()
    given = dict(zip((row["id"] for row in rows), answers(rows), strict=True))
    assert {row["id"]: row["prediction"] for row in written} == pytest.approx(given)
