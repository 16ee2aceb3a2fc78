import json
from pathlib import Path

import msgpack
import pytest

from app.batch.answers import Options
from app.model.manifest import Intervals, Level
from app.model.model import Model
from app.stream.messages import Request, answer
from tests.app.batch.conftest import answers, records
from tests.app.conftest import write_model


def test_requests_of_both_encodings_are_answered_in_their_own(regression: Path) -> None:
    rows = records(4)
    data = [json.dumps(rows[0]).encode(), msgpack.packb(rows[1]), json.dumps(rows[2]).encode()]
    data.append(msgpack.packb(rows[3]))
    got = answer(Model.load(regression), list(map(Request, "abcd", data)), Options())
    decoded = [
        json.loads(got[0].data),
        msgpack.unpackb(got[1].data),
        json.loads(got[2].data),
        msgpack.unpackb(got[3].data),
    ]
    assert [one.id for one in got] == list("abcd")
    assert [one["prediction"] for one in decoded] == pytest.approx(answers(rows), rel=1e-15)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not JSON: "),
        (b"{", "is not JSON: unexpected end of data"),
        (b"\x81\xa1", "is not MessagePack: "),
        (b"[1]", "[1] is not an object"),
        (b"\x93\x01\x02\x03", "is not JSON: "),
        (b'{"carat weight": "x"}', "column 'carat weight': 'x' is not a number"),
        (b"\x81\xa1a" + 1_200 * b"\x91" + b"\x01", "is not MessagePack: it is nested too deeply"),
        (b"\x81\x01\x02", "is not MessagePack: int is not allowed for map key"),
    ],
)
def test_what_cannot_be_answered_says_why_and_stops_no_other(
    regression: Path, data: bytes, reason: str
) -> None:
    fine = json.dumps(records(1)[0]).encode()
    requests = [Request("a", fine), Request("b", data), Request("c", fine)]
    before, rejected, after = answer(Model.load(regression), requests, Options())
    assert (before.id, before.reason, after.id, after.reason) == ("a", "", "c", "")
    assert rejected.data == data
    assert reason in rejected.reason


def test_probabilities_have_the_names_of_the_csv(classification: Path) -> None:
    (row,) = records(1)
    request = Request("a", json.dumps(row).encode())
    (got,) = answer(Model.load(classification), [request], Options(probabilities=True))
    decoded = json.loads(got.data)
    assert decoded.pop("prediction") == "low"
    assert list(decoded) == ["probability_low", "probability_middle", "probability_high"]
    assert sum(decoded.values()) == pytest.approx(1)


def test_an_interval_has_the_names_of_the_csv(tmp_path: Path) -> None:
    intervals = Intervals(levels=(Level(coverage=0.9, measured=0.9, bound=2.0),), scales=(1.0,))
    model = Model.load(write_model(tmp_path / "model", intervals=intervals))
    (row,) = records(1)
    request = Request("a", msgpack.packb(row))
    (got,) = answer(model, [request], Options(interval=0.9))
    (value,) = answers([row])
    assert msgpack.unpackb(got.data) == pytest.approx(
        {"prediction": value, "prediction_lower": value - 2, "prediction_upper": value + 2}
    )
