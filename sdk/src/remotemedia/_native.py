"""The native module as types, taken from its stub. For annotations alone.

The module itself comes from `remotemedia.runtime`, where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol, TypeAlias

    import remotemedia_runtime as native

    from remotemedia.frames import Samples

    Engine: TypeAlias = native.Engine
    LaneEngine: TypeAlias = native.Engine
    LaneFailure: TypeAlias = native.LaneFailure
    LaneItem: TypeAlias = native.LaneItem
    LaneResult: TypeAlias = native._Result
    LaneDone: TypeAlias = (
        tuple[int, Sequence[LaneResult] | LaneFailure] | tuple[int, Sequence[LaneResult], bool]
    )
    RuntimeFault: TypeAlias = native.RuntimeFault
    FailureType: TypeAlias = type[native.LaneFailure]

    class NativeRuntime(Protocol):
        """The module, or what stands in for it."""

        @property
        def __version__(self) -> str: ...
        @property
        def Engine(self) -> type[native.Engine]: ...  # noqa: N802 - the module's names
        @property
        def LaneFailure(self) -> type[native.LaneFailure]: ...  # noqa: N802
        @property
        def LaneData(self) -> type[native.LaneData]: ...  # noqa: N802
        @property
        def LaneOpaque(self) -> type[native.LaneOpaque]: ...  # noqa: N802
        @property
        def RuntimeFault(self) -> type[native.RuntimeFault]: ...  # noqa: N802
        @property
        def check_manifest(self) -> Callable[[str], None]: ...
        @property
        def run_offline(self) -> Callable[[str, Samples], list[str]]: ...

    _: NativeRuntime = native  # the stub has all of it
