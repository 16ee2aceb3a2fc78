"""Background tasks that fail."""

import asyncio

import pytest

from app.operations import supervise
from app.operations.supervise import Supervisor


def test_task_that_fails_is_started_again_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "RESTART_SECONDS", 0.0)
    runs = 0

    async def fail_twice() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise OSError("the disk is gone")
        if runs > 2:
            await asyncio.Event().wait()

    async def scenario() -> Supervisor:
        supervisor = Supervisor()
        supervisor.start("watch", fail_twice)
        while runs < 3:
            await asyncio.sleep(0.001)
        await supervisor.stop()
        return supervisor

    failures = asyncio.run(scenario()).failures
    assert failures["watch"]["error"] == "it ended"
    assert failures["watch"]["times"] == 2


def test_stopping_ends_the_tasks() -> None:
    ended = False

    async def wait() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async def scenario() -> None:
        supervisor = Supervisor()
        supervisor.start("watch", wait)
        await asyncio.sleep(0.01)
        await supervisor.stop()

    asyncio.run(scenario())
    assert ended
