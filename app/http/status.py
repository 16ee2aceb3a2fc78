"""The routes for people and machines that run the service."""

from pathlib import Path

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.errors import Problem
from app.http.service import Service
from app.model.model import Model
from app.operations import metrics

PAGE = Path(__file__).with_name("page.html")
# The page needs nothing but itself and this service.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)


async def page(request: Request) -> Response:
    """A page to try the model with."""
    return HTMLResponse(PAGE.read_bytes(), headers={"Content-Security-Policy": POLICY})


async def live(request: Request) -> Response:
    """The process is up."""
    return _json({"status": "live"})


async def ready(request: Request) -> Response:
    """A verified model is in service; says too why a newer one is not."""
    serving = request.app.state.service.serving
    model: Model = serving.model
    body = {"status": "ready", "model": _name(model), "last_failure": serving.failure}
    return _json(body, model)


async def ping(request: Request) -> Response:
    """As `/ready`, for MLflow's and SageMaker's probes."""
    model: Model = request.app.state.service.serving.model
    return Response("\n", media_type="application/json", headers={"X-Model-Version": model.version})


async def model(request: Request) -> Response:
    """The manifest of the model in service, and its version."""
    current: Model = request.app.state.service.serving.model
    return _json({"version": current.version, **current.manifest.model_dump(mode="json")}, current)


async def reload(request: Request) -> Response:
    """Take over the version that is locked now."""
    service: Service = request.app.state.service
    service.check_key(request, needs_one=True)
    changed = await service.serving.reload()
    failure = service.serving.failure
    if failure:
        raise Problem("reload-failed", f"The model stays as it is. {failure['detail']}", status=503)
    current = service.serving.model
    return _json({"changed": changed, "model": _name(current)}, current)


async def show_metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _name(model: Model) -> dict[str, str]:
    return {"name": model.manifest.name, "version": model.version}


def _json(body: object, model: Model | None = None) -> Response:
    headers = {"X-Model-Version": model.version} if model else {}
    return Response(orjson.dumps(body), headers=headers, media_type="application/json")
