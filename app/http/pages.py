"""What people see in a browser: the page, the two documentations, and the files of all three.

Every file comes from this server, and the policies let a browser ask nobody else.
"""

import secrets
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from app.formats.registry import FILES

FOLDER = Path(__file__).with_name("page")
LIBRARIES = ("fastapi_offline", "static")  # the package and folder of Swagger UI and Redoc
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Static(StaticFiles):
    """Files that a browser asks for anew each time, so that it never mixes two versions."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """A file, or that it is still the same."""
        reply = super().file_response(*args, **kwargs)
        reply.headers["Cache-Control"] = "no-cache"
        return reply


async def page(request: Request) -> Response:
    """A page to try the model with."""
    text = (FOLDER / "index.html").read_text()
    text = text.replace("FILE_FORMATS", ", ".join(source.name for source in FILES))
    suffixes = ",".join(suffix for source in FILES for suffix in source.suffixes)
    text = text.replace("FILE_SUFFIXES", suffixes)
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})


async def documentation(request: Request) -> Response:
    """OpenAPI as Swagger UI shows it, to try each route."""
    return HTMLResponse(
        (FOLDER / "docs.html").read_text(), headers={"Content-Security-Policy": POLICY}
    )


async def reference(request: Request) -> Response:
    """OpenAPI as Redoc shows it, to read."""
    nonce = secrets.token_urlsafe(16)
    text = (FOLDER / "redoc.html").read_text().replace("NONCE", nonce)
    # Redoc writes style sheets of its own
    policy = POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


ROUTES: list[BaseRoute] = [
    Route("/", page),
    Route("/docs", documentation),
    Route("/redoc", reference),
    Mount("/static", Static(directory=FOLDER, packages=[LIBRARIES])),
]
