"""The OpenAPI document: openapi.yaml, with what the model in service adds to it."""

import csv
import io
from http import HTTPStatus
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from app.formats.registry import CSV, FILES
from app.http.problems import MEDIA_TYPE
from app.model.manifest import Column, Feature, Manifest
from app.operations.takeover import ModelInService

Json = dict[str, Any]

SKELETON = Path(__file__).with_name("openapi.yaml")
ISO_DATE = (
    "ISO 8601: a date, or a date and a time with at most 9 decimals of a second, "
    "and Z or an offset such as +02:00 or +0200; without one it is UTC"
)


def document(in_service: ModelInService, guarded: frozenset[str]) -> Json:
    """Describe the service as it stands; without a model the columns are left open.

    Args:
        in_service: the model.
        guarded: the paths that need the key.
    """
    skeleton: Json = yaml.safe_load(SKELETON.read_bytes())
    _add_formats(skeleton["paths"])
    for path, methods in skeleton["paths"].items():
        for operation in methods.values():
            _add_problems(operation, path in guarded)
    model, manifest = in_service.current, in_service.manifest
    if model and manifest:
        info = {"title": f"Predictions: {manifest.name}", "version": model.version}
        skeleton["info"].update(info)
        parameters = skeleton["components"]["parameters"]
        if not model.gives_probabilities:
            parameters["probabilities"]["schema"]["enum"] = ["false"]
        if model.explainer is None:
            parameters["explain"]["schema"]["enum"] = ["false"]
        _add_coverages(skeleton, manifest)
        _add_columns(skeleton["components"]["schemas"], manifest)
        _add_examples(skeleton["paths"]["/invocations"]["post"]["requestBody"], manifest)
    return skeleton


def _add_formats(paths: Json) -> None:
    """Say which files may be sent."""
    names = ", ".join(source.name for source in FILES)
    upload, invocations = paths["/predict"]["post"], paths["/invocations"]["post"]
    upload["summary"] += f" ({names})"
    form = upload["requestBody"]["content"]["multipart/form-data"]
    form["encoding"]["file"]["contentType"] = ", ".join(source.media_types[0] for source in FILES)
    for source in FILES:
        schema = {"type": "string", "format": "binary"}
        invocations["requestBody"]["content"][source.media_types[0]] = {"schema": schema}


def _add_problems(operation: Json, guarded: bool) -> None:
    statuses = operation.pop("x-problems", [])
    if guarded:
        operation["security"] = [{"key": []}]
        statuses = [*statuses, 401, 403]
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in statuses:
        description = f"{HTTPStatus(status).phrase}."
        operation["responses"][str(status)] = {"description": description, "content": content}


def _add_coverages(skeleton: Json, manifest: Manifest) -> None:
    """Name the coverages of intervals; without any there is no such parameter."""
    if manifest.intervals:
        coverages = [level.coverage for level in manifest.intervals.levels]
        skeleton["components"]["parameters"]["interval"]["schema"] = {"enum": coverages}
        return
    del skeleton["components"]["parameters"]["interval"]
    absent = {"$ref": "#/components/parameters/interval"}
    for path in ("/predict", "/predict/records", "/invocations"):
        operation = skeleton["paths"][path]["post"]
        operation["parameters"] = [one for one in operation["parameters"] if one != absent]


def _add_columns(schemas: Json, manifest: Manifest) -> None:
    """Give the rows their columns, and the predictions their values."""
    values = {
        feature.name: _described(_value(feature), manifest.columns.get(feature.name))
        for feature in manifest.features
    }
    schemas["Record"] |= {
        "required": [*values],
        "properties": values,
        "examples": [manifest.example.record],
    }
    split = schemas["Split"]["properties"]
    split["columns"]["const"] = [*values]
    width = {"minItems": len(values), "maxItems": len(values)}
    split["data"]["items"] |= {"prefixItems": [*values.values()], **width}
    if manifest.task == "regression":
        schemas["Truth"]["properties"]["value"] = {"type": "number"}
    schemas["Answer"]["properties"]["predictions"]["items"] = (
        {"type": ["number", "null"], "description": "null where it is not finite"}
        if manifest.task == "regression"
        else {"enum": [*manifest.classes]}
    )


def _add_examples(body: Json, manifest: Manifest) -> None:
    """Show MLflow's JSON and CSV of the model's example."""
    names = [feature.name for feature in manifest.features]
    cells = [manifest.example.record[name] for name in names]
    split = {"columns": names, "data": [cells]}
    body["content"]["application/json"]["schema"]["examples"] = [{"dataframe_split": split}]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(names)
    writer.writerow([str(cell).lower() if isinstance(cell, bool) else cell for cell in cells])
    text = indent(lines.getvalue(), "    ")
    body["content"][CSV.media_types[0]]["schema"]["description"] = f"Such as\n\n{text}"


def _described(value: Json, column: Column | None) -> Json:
    """Begin a column's description with what people should know of it."""
    parts = [column.description, column.unit and f"in {column.unit}"] if column else []
    told = ", ".join(filter(None, parts))
    return value | {"description": f"{told}. {value['description']}".strip()} if told else value


def _value(feature: Feature) -> Json:
    missing = f"{feature.missing:.1%} missing in training." if feature.missing else ""
    if feature.kind == "category":
        # Any other text is taken too, as a category that training did not see.
        any_text = {"type": ["string", "number", "boolean", "null"]}
        return {
            "anyOf": [{"enum": [*feature.categories]}, any_text],
            "examples": [*feature.categories[:3]],
            "description": f"One of {len(feature.categories)} categories. {missing}".strip(),
        }
    if feature.kind == "boolean":
        return {"enum": [True, False, 0, 1, None], "description": missing}
    if feature.kind == "date":
        formats = [{"type": "string", "format": name} for name in ("date", "date-time")]
        description = f"{ISO_DATE}. {missing}".strip()
        return {"anyOf": [*formats, {"type": "null"}], "description": description}
    trained = ""
    if feature.minimum is not None and feature.maximum is not None:
        trained = f"{feature.minimum:g} to {feature.maximum:g} in training."
    description = f"{trained} {missing}".strip()
    return {"type": ["number", "null"], "format": "double", "description": description}
