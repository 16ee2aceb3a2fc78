import re
from pathlib import Path

import pytest

from local import demo, services
from local.processes import free_port, port_owner
from local.s3 import S3_PORTS
from tests.conftest import S3, free_ports
from tests.project import create, houses


@pytest.mark.long
def test_the_demo_leads_from_a_table_to_served_predictions(tmp_path: Path) -> None:
    port, tracking = free_ports(S3_PORTS), f"http://127.0.0.1:{free_port()}"
    s3 = S3(f"http://127.0.0.1:{port}", "demo", "key", "secret")
    project = create(tmp_path, s3, tracking, "demo", houses(90))
    project.set(train__models=["lr"], train__blend=0, evaluate__gate__beat_baseline=False)
    project.environment["SERVE_REMOTE"] = "s3://demo/demo"
    settings = {**s3.environment(), "MLFLOW_TRACKING_URI": tracking}
    settings["SERVE_REMOTE"] = project.environment["SERVE_REMOTE"]
    (project.root / ".env").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))

    said = project.run("python", "-m", "local.demo").stdout

    (version,) = re.findall(r"^Model demo, version ([0-9a-f]{32})$", said, re.M)
    assert f"md5: {version}.dir" in (project.root / "dvc.lock").read_text()
    assert re.search(r"^Leaderboard .*\n.*\n +lr +compare ", said, re.M)
    rows = said[said.index("Answers to five rows") :].splitlines()[1:7]
    assert rows[0].split()[-2:] == ["price", "prediction"]
    for row in rows[1:]:
        actual, prediction = map(float, row.split()[-2:])
        assert prediction == pytest.approx(actual, rel=0.5)
    for name in services.SERVICES:
        assert services.service(project.root / ".local", name).processes() == []
    assert port_owner(port) is None


def test_a_step_that_fails_ends_the_demo_with_advice() -> None:
    with pytest.raises(SystemExit, match=r"`json\.tool no-such-file` failed \(exit code \d\)"):
        demo.run("json.tool", "no-such-file")
