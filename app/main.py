"""The HTTP application.

$ uvicorn app.main:app
$ python -m app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from app.http import pages, predict, status, truth
from app.http.observe import Observe
from app.http.openapi import document
from app.http.problems import framework_problem
from app.http.service import Service
from app.settings import Settings, read_settings

ROUTES: list[BaseRoute] = [
    Route("/predict/records", predict.predict_records, methods=["POST"]),
    Route("/predict", predict.predict, methods=["POST"]),
    Route("/invocations", predict.invocations, methods=["POST"]),
    *pages.ROUTES,
    Route("/live", status.live),
    Route("/ready", status.ready),
    Route("/ping", status.ping),
    Route("/health", status.ping),
    Route("/model", status.model),
    Route("/metrics", status.show_metrics),
    Route("/drift", status.drift),
    Route("/truth", truth.truth, methods=["POST"]),
    Route("/reload", status.reload, methods=["POST"]),
]
GUARDED = frozenset({"/predict", "/predict/records", "/invocations", "/truth", "/reload"})
DIRECT = {
    ("POST", "/predict/records"): predict.predict_records,
    ("POST", "/invocations"): predict.invocations,
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; the settings are read when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        app.state.service = Service(settings or read_settings())
        async with app.state.service.running():
            # Connections call it when the server ends, before that waits for their requests.
            yield {"stop": app.state.service.in_service.stop}

    app = FastAPI(
        title="Predictions",
        lifespan=lifespan,
        redirect_slashes=False,  # it would send clients to the host that a request names
        docs_url=None,
        redoc_url=None,
        # The service measures itself; the framework's own hooks cost every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.routes[:0] = ROUTES
    app.openapi = lambda: document(  # type: ignore[method-assign]
        app.state.service.in_service, GUARDED if app.state.service.key else frozenset()
    )
    app.add_exception_handler(HTTPException, framework_problem)
    routes = frozenset(
        route.path for route in [*ROUTES, *app.router.routes] if isinstance(route, Route)
    )
    app.add_middleware(Observe, routes=routes, guarded=GUARDED, direct=DIRECT)
    return app


app = create_app()
