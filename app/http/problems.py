"""Problems as replies: RFC 9457, `application/problem+json`, for every error of every route."""

from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Problem, quote
from app.operations import metrics

MEDIA_TYPE = "application/problem+json"
UNREADABLE = {400, 415, 422}
ADVICE = {
    404: "There is no such route. /docs lists them all.",
    405: "This route has other methods.",
}


def problem_reply(problem: Problem) -> Response:
    """Render a problem, and count it."""
    metrics.ERRORS.labels(problem.kind).inc()
    body = {
        "type": f"urn:problem:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return Response(orjson.dumps(body), problem.status, problem.headers, MEDIA_TYPE)


def compressed(request: Request, problem: Problem) -> Problem:
    """The problem of a body that was sent compressed: what it seemed to be else is a riddle."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity" or problem.status not in UNREADABLE:
        return problem
    return Problem(
        "compressed",
        f"The body is compressed (Content-Encoding: {quote(coding)}); send it as it is.",
        status=415,
        headers={"Accept-Encoding": "identity"},
    )


async def framework_problem(request: Request, error: Exception) -> Response:
    """Render the framework's own refusals, such as 404, as problems too."""
    assert isinstance(error, HTTPException)  # noqa: S101 (what it is registered for)
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    detail = ADVICE.get(error.status_code, str(error.detail))
    return problem_reply(Problem(kind, detail, status=error.status_code, headers=error.headers))
