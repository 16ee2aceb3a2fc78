"""A model in a cache of its own, settings that find it, and tables for it."""

import random
from pathlib import Path
from typing import Any

import pytest

from app.batch.answers import Options
from app.batch.run import Result, run
from app.settings import Settings
from tests.app.conftest import publish, regression_answer, settings_in, write_model
from tests.conftest import S3

HEADER = "id,carat weight,cut,certified,sold"


@pytest.fixture
def published(tmp_path: Path) -> Settings:
    """Settings under which the tiny regression is the locked version."""
    settings = settings_in(tmp_path)
    publish(write_model(tmp_path / "model"), settings.model_cache, settings.lock_file)
    return settings


@pytest.fixture
def published_classes(tmp_path: Path) -> Settings:
    """Settings under which the tiny classification is the locked version."""
    settings = settings_in(tmp_path)
    folder = write_model(tmp_path / "model", "classification")
    publish(folder, settings.model_cache, settings.lock_file)
    return settings


def with_s3(settings: Settings, s3: S3) -> Settings:
    """The same settings, with the tests' S3."""
    from pydantic import SecretStr

    return settings.model_copy(
        update={
            "aws_access_key_id": s3.key_id,
            "aws_secret_access_key": SecretStr(s3.secret),
            "aws_endpoint_url": s3.endpoint,
            "aws_region": "us-east-1",
        }
    )


def records(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows that the tiny models read, and an `id`."""
    draw = random.Random(seed)
    return [
        {
            "id": f"row-{number}",
            "carat weight": round(draw.uniform(0.2, 5.0), 2),
            "cut": draw.choice(["Fair", "Good", "Ideal", "Odd", None]),
            "certified": draw.choice([True, False]),
            "sold": "2020-01-01",
        }
        for number in range(count)
    ]


def csv_text(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV, with a header."""

    def cell(value: Any) -> str:
        return "" if value is None else str(value).lower() if value in (True, False) else str(value)

    return "\n".join([HEADER, *(",".join(map(cell, row.values())) for row in rows), ""])


def answers(rows: list[dict[str, Any]]) -> list[float]:
    """What the tiny regression answers them."""
    return [regression_answer(row) for row in rows]


def score(source: object, target: object, settings: Settings, **options: Any) -> Result:
    """Run a batch."""
    return run(str(source), str(target), Options(**options), settings)
