"""The JSON Schema of manifest v1, generated from the models and the node types.

``python -m remotemedia.manifest.schema`` prints it, or writes it to the path that is given; ``make
schema`` writes `configs/schema/manifest.schema.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel, JsonValue
from pydantic.json_schema import models_json_schema

from remotemedia import _parameters
from remotemedia.manifest.models import Manifest
from remotemedia.nodes.registry import NODE_TYPES

SCHEMA_ID = "https://remotemedia.dev/schema/manifest.schema.json"


def manifest_schema() -> dict[str, JsonValue]:
    """Give the schema. The parameters of each node type are checked by its name."""
    models: list[type[BaseModel]] = [
        Manifest,
        *(_parameters.model(cls) for cls in NODE_TYPES.values()),
    ]
    _, schema = models_json_schema(
        [(model, "validation") for model in models],
        by_alias=True,
        ref_template="#/$defs/{model}",
    )
    definitions = schema["$defs"]
    root = definitions.pop("Manifest")
    for name, cls in NODE_TYPES.items():
        definitions[name]["description"] = _parameters.summary(cls)
    definitions["NodeSpec"]["allOf"] = [
        {
            "if": {
                "properties": {"node_type": {"enum": [name, name.removesuffix("Node")]}},
                "required": ["node_type"],
            },
            "then": {"properties": {"params": {"$ref": f"#/$defs/{name}"}}},
        }
        for name in NODE_TYPES
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **root,
        "title": "RemoteMedia pipeline manifest, v1",
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """Give the schema as the file has it."""
    return json.dumps(manifest_schema(), indent=2) + "\n"


def main(arguments: list[str]) -> None:
    """Run the command."""
    if arguments:
        Path(arguments[0]).write_text(schema_text(), encoding="utf-8")
    else:
        sys.stdout.write(schema_text())


if __name__ == "__main__":
    main(sys.argv[1:])
