"""Manifest v1: what a pipeline is, as JSON or YAML."""

from remotemedia.manifest.load import (
    dump_json,
    dump_yaml,
    load,
    load_file,
    load_json,
    load_yaml,
)
from remotemedia.manifest.models import Connection, Manifest, Metadata, NodeSpec

__all__ = [
    "Connection",
    "Manifest",
    "Metadata",
    "NodeSpec",
    "dump_json",
    "dump_yaml",
    "load",
    "load_file",
    "load_json",
    "load_yaml",
]
