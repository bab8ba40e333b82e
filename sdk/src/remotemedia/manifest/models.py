"""The models of manifest v1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator

from remotemedia.base import Isolation, RuntimeHint

DEFAULT_NAME = "pipeline"
MAX_NODES = 256
"""The most nodes that a pipeline may have."""
MAX_CONNECTIONS = 1_024
"""The most connections that a pipeline may have."""
MAX_NAME_BYTES = 64
"""The longest id or name in UTF-8."""

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]
Port = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?$", max_length=129)]


def _fits(name: str) -> str:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"must have at most {MAX_NAME_BYTES} bytes")
    return name


_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
"""Characters that nobody sees, and those that turn the direction of what follows."""
Name = Annotated[
    str, Field(pattern=rf"^[^{_UNSEEN}$/\\?#]+$", max_length=64), AfterValidator(_fits)
]

_FIRST_HINTS = {"rustpython": "python", "cpython": "python", "cpython_wasm": "python"}
"""Hints of version 0.1, and what they are called now."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class Metadata(_Open):
    """Who the pipeline is. Other entries are kept as they are."""

    name: Name = Field(default=DEFAULT_NAME, description="The name under which it is served.")
    description: Annotated[str | None, Field(description="What it is for.")] = None


class Gpu(_Strict):
    """A graphics card that a node wants."""

    type: Literal["cuda", "rocm", "metal", "vulkan", "any"] = "any"
    min_memory_gb: float | None = Field(None, ge=0)
    required: bool = True


class Cpu(_Strict):
    """A processor that a node wants."""

    cores: int | None = Field(None, ge=1)
    arch: Literal["x86_64", "aarch64", "arm", "any"] = "any"


class Capabilities(_Strict):
    """What a node wants of its machine. Kept for placement over several machines."""

    gpu: Gpu | None = None
    cpu: Cpu | None = None
    memory_gb: float | None = Field(None, ge=0)


class Execution(_Open):
    """Where a node would like to run. Kept for placement over several machines."""

    placement: str | None = Field(None, description="Such as `local`, `remote` or `auto`.")
    reason: str | None = Field(None, description="Why.")


class NodeSpec(_Strict):
    """One node."""

    id: Identifier = Field(description="Unique in the pipeline.")
    node_type: str = Field(
        min_length=1, max_length=128, description="The type's name, with or without `Node`."
    )
    params: dict[str, JsonValue] = Field(default_factory=dict, description="Its parameters.")
    runtime_hint: RuntimeHint = Field("auto", description="Where it should run.")
    is_streaming: bool | None = Field(None, description="Kept from version 0.1; has no effect.")
    capabilities: Capabilities | None = None
    execution: Execution | None = None
    host: str | None = Field(
        None, max_length=512, description="Another machine: `webrtc://host:port/pipeline`."
    )
    retry: dict[str, JsonValue] | None = Field(None, description="Kept for a later version.")
    isolation: Isolation | None = Field(None, description="Where a Python node runs.")

    @field_validator("runtime_hint", mode="before")
    @classmethod
    def _first_hints(cls, value: object) -> object:
        return _FIRST_HINTS.get(value, value) if isinstance(value, str) else value


class Connection(BaseModel):
    """One connection: `from` feeds `to`. A port may follow after a dot: `split.left`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: Port = Field(alias="from", description="The node that gives.")
    target: Port = Field(alias="to", description="The node that takes.")


class Manifest(_Strict):
    """A pipeline: nodes, and how they are connected.

    Without `connections` the nodes form a chain in the order of the list; with it, the connections
    are exactly those. A node that nothing feeds takes the incoming audio.
    """

    version: Literal["v1"] = "v1"
    metadata: Metadata = Metadata(name=DEFAULT_NAME)
    nodes: list[NodeSpec] = Field(min_length=1, max_length=MAX_NODES)
    connections: list[Connection] | None = Field(None, max_length=MAX_CONNECTIONS)

    def to_dict(self) -> dict[str, JsonValue]:
        """Give the manifest as plain data, without what is at its default."""
        data: dict[str, JsonValue] = {
            "version": self.version,
            "metadata": {"name": self.metadata.name},
        }
        data.update(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        return data
