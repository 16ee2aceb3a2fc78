"""The OpenAPI document, written for the model in service: its columns, types and example."""

import csv
import io
from http import HTTPStatus
from textwrap import indent
from typing import Any

from app.errors import MAX_ERRORS
from app.http.problems import MEDIA_TYPE
from app.model.manifest import Feature, Manifest
from app.operations.takeover import ModelInService
from app.settings import Settings

Json = dict[str, Any]

DESCRIPTION = """
Predictions by one model, whose version every reply names. A missing value is an empty cell, or
`null` in JSON. Columns may come in any order; columns that the model does not read are ignored
and named in the header `X-Ignored-Columns`. Every error is a problem (RFC 9457) that says what
is wrong, where, and what to do.
"""
UPLOAD = [400, 408, 413, 415, 422, 503]
ISO_DATE = (
    "ISO 8601: a date, or a date and a time with at most 9 decimals of a second, "
    "and Z or an offset such as +02:00 or +0200; without one it is UTC"
)


def document(in_service: ModelInService, settings: Settings) -> Json:
    """Describe the service as it stands; without a model the columns are left open."""
    model, manifest = in_service.current, in_service.manifest
    guarded = [401, 403] if settings.api_key else []
    parameters = [_probabilities(bool(model and model.gives_probabilities))]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Predictions: {manifest.name}" if manifest else "Predictions",
            "description": DESCRIPTION,
            "version": model.version if model else "none",
        },
        "paths": {
            "/predict": {"post": _predict(guarded, parameters)},
            "/predict/records": {"post": _records(guarded, parameters)},
            "/invocations": {"post": _invocations(guarded, parameters, manifest)},
            **_operations(),
        },
        "components": {
            "schemas": {
                "Record": _record(manifest),
                "Answer": _answer(manifest),
                "Model": _model_name(),
                "Problem": _problem(),
            },
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
            "headers": {
                "X-Model-Version": _header("The version of the model that answered."),
                "X-Ignored-Columns": _header("Columns not read by the model, percent-encoded."),
            },
        },
    }


def _predict(guarded: list[int], parameters: list[Json]) -> Json:
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
    }
    return {
        **_guarded(guarded),
        "tags": ["predict"],
        "operationId": "predict",
        "summary": "Predict every row of a CSV or Parquet file",
        "description": (
            'CSV: UTF-8, commas, one header line, quotes `"`. With `Accept: text/csv` the rows '
            "come back with the predictions appended."
        ),
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": form,
                    "encoding": {
                        "file": {"contentType": "text/csv, application/vnd.apache.parquet"}
                    },
                }
            },
        },
        "responses": {**_answered(as_csv=True), **_problems(UPLOAD, guarded)},
    }


def _records(guarded: list[int], parameters: list[Json]) -> Json:
    body = {
        "type": "object",
        "required": ["records"],
        "additionalProperties": False,
        "properties": {"records": _rows()},
    }
    return {
        **_guarded(guarded),
        "tags": ["predict"],
        "operationId": "predict_records",
        "summary": "Predict JSON records",
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {**_answered(as_csv=False), **_problems(UPLOAD, guarded)},
    }


def _invocations(guarded: list[int], parameters: list[Json], manifest: Manifest | None) -> Json:
    names = [feature.name for feature in manifest.features] if manifest else []
    example = manifest.example.record if manifest else {}
    split = {
        "type": "object",
        "required": ["columns", "data"],
        "properties": {
            "columns": {"const": names},
            "data": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "array",
                    "prefixItems": [_value(feature) for feature in manifest.features]
                    if manifest
                    else [],
                    "minItems": len(names),
                    "maxItems": len(names),
                },
            },
        },
    }
    formats = {"dataframe_split": split, "dataframe_records": _rows(), "instances": _rows()}
    body = {
        "oneOf": [
            {
                "type": "object",
                "required": [name],
                "additionalProperties": False,
                "properties": {name: schema, "params": {"type": "object"}},
            }
            for name, schema in formats.items()
        ],
        "examples": [
            {"dataframe_split": {"columns": names, "data": [[example.get(n) for n in names]]}}
        ],
    }
    return {
        **_guarded(guarded),
        "tags": ["predict"],
        "operationId": "invocations",
        "summary": "Predict, in MLflow's scoring protocol",
        "description": (
            "What clients of `mlflow models serve` and of SageMaker send. `inputs` with a list of "
            "values per column is taken too. `params` is ignored."
        ),
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": body},
                "text/csv": {
                    "schema": {
                        "type": "string",
                        "description": f"Such as\n\n{_csv_example(manifest)}",
                    }
                },
            },
        },
        "responses": {**_answered(as_csv=True), **_problems(UPLOAD, guarded)},
    }


def _operations() -> Json:
    def get(name: str, summary: str, content: Json, *errors: int) -> Json:
        return {
            "get": {
                "tags": ["operate"],
                "operationId": name,
                "summary": summary,
                "responses": {
                    "200": {"description": "Yes.", "content": content},
                    **_problems(list(errors), []),
                },
            }
        }

    some_object = {"application/json": {"schema": {"type": "object"}}}
    blank: Json = {"application/json": {}}
    reload = {
        "tags": ["operate"],
        "operationId": "reload",
        "summary": "Take over the version that is locked now",
        "description": "Other workers on the same model cache follow within a second.",
        "security": [{"key": []}],
        "responses": {
            "200": {
                "description": "The version in service now.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["changed", "model"],
                            "properties": {
                                "changed": {"type": "boolean"},
                                "model": {"$ref": "#/components/schemas/Model"},
                            },
                        }
                    }
                },
            },
            **_problems([503], [401, 403]),
        },
    }
    return {
        "/model": get(
            "model", "The manifest: version, columns, metrics, lineage", some_object, 503
        ),
        "/ready": get("ready", "Whether a verified model is in service", some_object, 503),
        "/live": get("live", "Whether the process is up", some_object),
        "/ping": get("ping", "As `/ready`, for SageMaker", blank, 503),
        "/health": get("health", "As `/ready`, for MLflow", blank, 503),
        "/metrics": get("metrics", "Prometheus metrics", {"text/plain": {}}),
        "/reload": {"post": reload},
    }


def _rows() -> Json:
    record = {"$ref": "#/components/schemas/Record"}
    return {"type": "array", "minItems": 1, "items": record}


def _record(manifest: Manifest | None) -> Json:
    """One row: the model's own columns; others are allowed, and ignored."""
    schema: Json = {"type": "object", "additionalProperties": True}
    if manifest:
        schema["required"] = [feature.name for feature in manifest.features]
        schema["properties"] = {feature.name: _value(feature) for feature in manifest.features}
        schema["examples"] = [manifest.example.record]
    return schema


def _value(feature: Feature) -> Json:
    missing = f"{feature.missing:.1%} missing in training." if feature.missing else ""
    if feature.kind == "category":
        # Any other text is taken too, as a category that training did not see.
        return {
            "anyOf": [
                {"enum": [*feature.categories]},
                {"type": ["string", "number", "boolean", "null"]},
            ],
            "examples": [*feature.categories[:3]],
            "description": f"One of {len(feature.categories)} categories. {missing}".strip(),
        }
    if feature.kind == "boolean":
        return {"enum": [True, False, 0, 1, None], "description": missing}
    if feature.kind == "date":
        return {
            "anyOf": [
                {"type": "string", "format": "date"},
                {"type": "string", "format": "date-time"},
                {"type": "null"},
            ],
            "description": f"{ISO_DATE}. {missing}".strip(),
        }
    seen = f"{feature.minimum:g} to {feature.maximum:g} in training." if _seen(feature) else ""
    return {
        "type": ["number", "null"],
        "format": "double",
        "description": f"{seen} {missing}".strip(),
    }


def _seen(feature: Feature) -> bool:
    return feature.minimum is not None and feature.maximum is not None


def _answer(manifest: Manifest | None) -> Json:
    value: Json = {}
    if manifest and manifest.task == "regression":
        value = {"type": ["number", "null"], "description": "null where it is not finite"}
    elif manifest:
        value = {"enum": [*manifest.classes]}
    return {
        "type": "object",
        "required": ["predictions", "model"],
        "properties": {
            "predictions": {"type": "array", "items": value},
            "classes": {"type": "array", "description": "The order of the probabilities."},
            "probabilities": {
                "type": "array",
                "items": {"type": "array", "items": {"type": ["number", "null"]}},
            },
            "model": {"$ref": "#/components/schemas/Model"},
        },
    }


def _model_name() -> Json:
    return {
        "type": "object",
        "required": ["name", "version"],
        "properties": {"name": {"type": "string"}, "version": {"type": "string"}},
    }


def _problem() -> Json:
    error = {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "row": {"type": "integer", "minimum": 1, "description": "1 is the first row of data"},
            "column": {"type": "string"},
            "detail": {"type": "string"},
        },
    }
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "maxItems": MAX_ERRORS, "items": error},
        },
    }


def _probabilities(given: bool) -> Json:
    return {
        "name": "probabilities",
        "in": "query",
        "description": "Give the probability of each class as well, where the model has them.",
        "schema": {"enum": ["false", "true"] if given else ["false"], "default": "false"},
    }


def _csv_example(manifest: Manifest | None) -> str:
    if manifest is None:
        return ""
    values = [manifest.example.record[feature.name] for feature in manifest.features]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([feature.name for feature in manifest.features])
    writer.writerow([str(value).lower() if isinstance(value, bool) else value for value in values])
    return indent(lines.getvalue(), "    ")


def _answered(*, as_csv: bool) -> Json:
    content: Json = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
    if as_csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    headers = {
        name: {"$ref": f"#/components/headers/{name}"}
        for name in ("X-Model-Version", "X-Ignored-Columns")
    }
    return {"200": {"description": "The predictions.", "headers": headers, "content": content}}


def _problems(statuses: list[int], guarded: list[int]) -> Json:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": f"{HTTPStatus(status).phrase}.", "content": content}
        for status in sorted({*statuses, *guarded})
    }


def _guarded(guarded: list[int]) -> Json:
    return {"security": [{"key": []}]} if guarded else {}


def _header(description: str) -> Json:
    return {"description": description, "schema": {"type": "string"}}
