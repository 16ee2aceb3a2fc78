"""The routes for people and machines that run the service."""

import asyncio
from contextlib import suppress
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from app.drift import metrics as drift_metrics
from app.drift.watch import Watch
from app.errors import Problem
from app.http.service import Service
from app.model.manifest import Manifest
from app.model.model import Model
from app.operations import metrics
from app.operations.takeover import ModelInService


async def live(request: Request) -> Response:
    """The process is up."""
    return _json({"status": "live"})


async def ready(request: Request) -> Response:
    """A verified model is in service; says too why a newer one is not, and which task failed."""
    service: Service = request.app.state.service
    model, _ = _current(request)
    body = {
        "status": "ready",
        "model": _name(model),
        "last_failure": service.in_service.failure,
        "failed_tasks": service.background.failures,
    }
    return _json(body, model)


async def ping(request: Request) -> Response:
    """As `/ready`, for MLflow's and SageMaker's probes."""
    model, _ = _current(request)
    return Response("\n", media_type="application/json", headers={"X-Model-Version": model.version})


async def model(request: Request) -> Response:
    """The manifest of the model in service, and its version."""
    current, manifest = _current(request)
    return _json({"version": current.version, **manifest.model_dump(mode="json")}, current)


async def reload(request: Request) -> Response:
    """Take over the version that is locked now."""
    service: Service = request.app.state.service
    if service.key is None:
        raise Problem(
            "no-key-configured",
            "This server was started without SERVE_API_KEY, so nobody may reload it over HTTP.",
            status=403,
        )
    changed = await service.in_service.reload()
    failure = service.in_service.failure
    if failure:
        raise Problem("reload-failed", f"The model stays as it is. {failure['detail']}", status=503)
    current, _ = _current(request)
    return _json({"changed": changed, "model": _name(current)}, current)


async def show_metrics(request: Request) -> Response:
    """Prometheus metrics."""
    service: Service = request.app.state.service
    service.requests.flush()
    content = metrics.render()
    in_service = service.in_service
    if in_service.current is not None:
        told = None
        with suppress(Problem):  # `/drift` and `/ready` say why nothing can be counted
            told = await _drift(request, in_service.current, with_counts=False)
        if told is not None:
            content += drift_metrics.render(told, in_service.current.interface.target)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


async def drift(request: Request) -> Response:
    """How far what arrives is from the rows of training."""
    current, _ = _current(request)
    with_counts = request.query_params.get("counts", "false")
    if with_counts not in ("true", "false"):
        raise Problem("invalid-parameter", "The parameter 'counts' is either 'true' or 'false'.")
    told = await _drift(request, current, with_counts=with_counts == "true")
    if told is None:
        raise Problem(
            "no-drift",
            "Nothing is counted: SERVE_DRIFT is false, or the model was deployed without counts "
            "of its rows of training.",
            status=404,
        )
    return _json({"model": _name(current), **told}, current)


async def _drift(request: Request, model: Model, *, with_counts: bool) -> dict[str, Any] | None:
    watch: Watch | None = request.app.state.service.watch
    if watch is None:
        return None
    return await asyncio.to_thread(watch.report, model.version, with_counts=with_counts)


def _current(request: Request) -> tuple[Model, Manifest]:
    """The model in service.

    Raises:
        Problem: there is none yet.
    """
    in_service: ModelInService = request.app.state.service.in_service
    if in_service.current is None or in_service.manifest is None:
        raise in_service.none_yet()
    return in_service.current, in_service.manifest


def _name(model: Model) -> dict[str, str]:
    return {"name": model.interface.name, "version": model.version}


def _json(body: object, model: Model | None = None) -> Response:
    headers = {"X-Model-Version": model.version} if model else {}
    return Response(orjson.dumps(body), headers=headers, media_type="application/json")
