"""A broker of the tests' own."""

from collections.abc import Iterator

import pytest

from local.broker import broker_answers, start_broker
from local.processes import free_port, stop, wait


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """NATS with JetStream, for the whole session."""
    url = f"nats://test:secret@127.0.0.1:{free_port()}"
    service = start_broker(tmp_path_factory.mktemp("broker"), url)
    try:
        wait(service, url, broker_answers)
        yield url
    finally:
        stop(service)
