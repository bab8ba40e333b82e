"""The server's configuration: every option, its default, its bounds."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from yarl import URL

from remotemedia_signaling.messages import field_path, nearest

KIB: Final = 1024
MAX_CONFIG_BYTES: Final = 1 << 20
"""The largest configuration file."""

Port = Annotated[int, Field(strict=True, ge=0, le=65_535)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=3_600)]
HostName = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class ConfigError(ValueError):
    """A configuration that cannot be used: `source: field: what is wrong`."""

    def __init__(self, message: str, *, field: str | None = None, source: str | None = None):
        self.message = message
        self.field = field
        self.source = source
        super().__init__(": ".join(part for part in (source, field, message) if part))


class Section(BaseModel):
    """A part of the configuration: unknown options are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class TlsFiles(Section):
    """A certificate of one's own."""

    certificate: Path
    """PEM file with the certificate and its chain."""
    key: Path
    """PEM file with the private key, not encrypted."""


class IceServer(Section):
    """A STUN or TURN server that clients are told of (`RTCIceServer`)."""

    urls: Annotated[list[str], Field(min_length=1, max_length=8)]
    """`stun:host:port`, `turn:host:port?transport=udp`, `turns:host:port`."""
    username: str | None = None
    """User name of a TURN server."""
    credential: str | None = None
    """Password of a TURN server; every client sees it."""

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not re.fullmatch(r"(stuns?|turns?):[^\s/]+", url):
                raise ValueError(f"{url[:80]!r} is not a stun:, stuns:, turn: or turns: address")
        return urls

    @model_validator(mode="after")
    def _check_credentials(self) -> IceServer:
        needed = any(url.startswith("turn") for url in self.urls)
        if needed and (self.username is None or self.credential is None):
            raise ValueError("a TURN server needs username and credential")
        return self


class Limits(Section):
    """Bounds of the HTTP side."""

    body_bytes: Annotated[int, Field(strict=True, ge=1 * KIB, le=16 * KIB * KIB)] = 256 * KIB
    """Largest request body; more is answered with 413."""
    message_bytes: Annotated[int, Field(strict=True, ge=1 * KIB, le=16 * KIB * KIB)] = 256 * KIB
    """Largest WebSocket message; more closes the socket with code 1009."""
    concurrent_offers: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 64
    """Offers answered at the same time; more are answered with 429 and Retry-After."""
    new_sessions_per_second: Annotated[float, Field(strict=True, gt=0, le=100_000)] = 50.0
    """Offers that open or join a session, whoever makes them; more are answered with 429."""
    new_sessions_at_once: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 100
    """How many of them may come at once after a quiet time."""
    websockets: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 256
    """Open WebSockets; more are answered with 429."""
    event_streams: Annotated[int, Field(strict=True, ge=0, le=100_000)] = 256
    """Open event streams and long polls; more are answered with 429."""


class Timeouts(Section):
    """Patience, in seconds."""

    request_s: Seconds = 10.0
    """For a call to the pipelines (an offer, candidates, ...); then 504."""
    body_s: Seconds = 10.0
    """For the body of a request; then 408."""
    ready_s: Seconds = 5.0
    """For the readiness check; then 503."""
    heartbeat_s: Seconds = 15.0
    """Between comments on a quiet event stream, and between pings on a WebSocket."""
    long_poll_s: Seconds = 30.0
    """Longest wait of a long poll; a longer `?wait=` is shortened to it."""
    slow_reader_s: Seconds = 10.0
    """For a reader of an event stream to take one message; then it is cut off."""
    keep_alive_s: Seconds = 75.0
    """For the next request on an idle connection."""
    retry_after_s: Annotated[float, Field(strict=True, ge=1, le=3_600)] = 2.0
    """What Retry-After says when the server is full or shutting down."""
    shutdown_s: Seconds = 5.0
    """For running requests to end at shutdown; then they are cancelled."""


class MediaLimits(Section):
    """Bounds on what runs at once."""

    max_sessions: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1_000
    """Sessions of the whole server; a further offer is answered with 429."""
    max_participants: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 16
    """Participants of one session."""


class Media(Section):
    """The media side. Signaling only checks and hands it on."""

    bind: IPvAnyAddress | None = None
    """Address of the media sockets; none for all addresses."""
    media_ports: tuple[Port, Port] = (0, 0)
    """First and last UDP port, one a reactor; `[0, 0]` lets the system choose."""
    reactors: Literal["auto"] | Annotated[int, Field(strict=True, ge=1, le=256)] = "auto"
    """Threads that run media; `auto` is one a core."""
    advertised_addresses: list[IPvAnyAddress] = Field(default_factory=list)
    """Further addresses told to clients: the public ones of a machine behind NAT."""
    loopback: Literal["auto"] | bool = "auto"
    """Whether 127.0.0.1 is told to clients; `auto`: while `host` is a loopback address."""
    limits: MediaLimits = MediaLimits()
    """Bounds on what runs at once."""

    @field_validator("media_ports")
    @classmethod
    def _check_ports(cls, ports: tuple[int, int]) -> tuple[int, int]:
        first, last = ports
        if (first == 0) != (last == 0) or first > last:
            raise ValueError("expected [first, last] with first <= last, or [0, 0]")
        return ports


class ServerConfig(Section):
    """How a RemoteMedia server is reached and what it allows.

    `configs/server/default.yaml` explains every option and equals the defaults.
    """

    host: HostName = "127.0.0.1"
    """Address or name to listen on; `0.0.0.0` or `::` for the whole network."""
    port: Port = 8080
    """TCP port; 0 lets the system choose."""
    tls: Literal["off", "auto"] | TlsFiles = "off"
    """`off`, `auto` (a certificate made by this server), or `{certificate, key}`."""
    allowed_origins: list[str] = Field(default_factory=list)
    """Web pages of other origins that may call, `https://example.org`; `*` for any."""
    allowed_hosts: list[HostName] = Field(default_factory=list)
    """Further names under which this server may be asked for (Host header)."""
    web_root: Path | None = None
    """Folder of the built page; none: no page is served."""
    ice_servers: Annotated[list[IceServer], Field(max_length=16)] = Field(default_factory=list)
    """STUN and TURN servers that clients are told of by `/api/config`."""
    access_log: bool = False
    """Whether every request is logged."""
    limits: Limits = Limits()
    """Bounds of the HTTP side."""
    timeouts: Timeouts = Timeouts()
    """Patience, in seconds."""
    media: Media = Media()
    """The media side."""

    @field_validator("tls", mode="before")
    @classmethod
    def _yaml_off(cls, value: object) -> object:
        # YAML 1.1 reads a bare `off` as false.
        return "off" if value is False else value

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, origins: list[str]) -> list[str]:
        return [origin if origin == "*" else _normal_origin(origin) for origin in origins]

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: list[str]) -> list[str]:
        return [host.lower().rstrip(".") for host in hosts]

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    def engine_settings(self) -> dict[str, Any]:
        """Give the media part as the engine reads it, with `loopback` decided."""
        settings = self.media.model_dump(mode="json")
        if self.media.loopback == "auto":
            settings["loopback"] = self.is_loopback
        return settings

    @classmethod
    def from_yaml(cls, text: str, *, source: str | None = None) -> ServerConfig:
        """Read a configuration from YAML (or JSON) text.

        Raises:
            ConfigError: naming the field, and `source` if given.

        """
        try:
            value = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
        except (yaml.YAMLError, RecursionError) as error:
            raise ConfigError(f"not valid YAML: {error}", source=source) from error
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise ConfigError("expected a mapping of options", source=source)
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise _config_error(error, source) from error

    @classmethod
    def load(cls, path: str | Path) -> ServerConfig:
        """Read a configuration from a file; paths in it are relative to its folder.

        Raises:
            ConfigError: naming the file and the field.

        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_CONFIG_BYTES + 1)
            if len(data) > MAX_CONFIG_BYTES:
                raise ConfigError(f"larger than {MAX_CONFIG_BYTES} bytes", source=str(path))
            text = data.decode()
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", source=str(path)) from error
        except UnicodeDecodeError as error:
            raise ConfigError("not UTF-8 text", source=str(path)) from error
        return cls.from_yaml(text, source=str(path))._relative_to(path.absolute().parent)

    def _relative_to(self, folder: Path) -> ServerConfig:
        changes: dict[str, object] = {}
        if self.web_root is not None:
            changes["web_root"] = folder / self.web_root.expanduser()
        if isinstance(self.tls, TlsFiles):
            changes["tls"] = TlsFiles(
                certificate=folder / self.tls.certificate.expanduser(),
                key=folder / self.tls.key.expanduser(),
            )
        return self.model_copy(update=changes)


def is_loopback(host: str) -> bool:
    """Whether `host` is an address or name of this machine alone."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def server_schema() -> str:
    """Write the JSON Schema of the configuration file (`configs/schema/server.schema.json`)."""
    schema = ServerConfig.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _normal_origin(origin: str) -> str:
    try:
        url = URL(origin)
        if url.scheme in {"http", "https"} and url.host and url == url.origin().with_path("/"):
            return str(url.origin()).lower()
    except ValueError:
        pass
    raise ValueError(f"{origin[:80]!r} is not an origin such as https://example.org:8443")


_UNIONS: Final = {
    ("tls",): "expected off, auto, or a mapping with certificate and key",
    ("media", "reactors"): "expected auto or a number from 1 to 256",
    ("media", "loopback"): "expected auto, true or false",
}
"""What to say of an option that takes one of several types: pydantic reports every branch."""


def _config_error(error: ValidationError, source: str | None) -> ConfigError:
    problems = error.errors(include_url=False, include_input=False)
    problem = problems[0]
    location = problem["loc"]
    inside_tls = [each for each in problems if each["loc"][:2] == ("tls", "TlsFiles")]
    if location[:1] == ("tls",) and inside_tls and len(inside_tls[0]["loc"]) > len(("tls", "")):
        problem = inside_tls[0]
        location = ("tls", *problem["loc"][2:])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        names = _options(location[:-1])
        message = f"unknown option: {nearest(str(location[-1]), names)}"
    elif problem["type"] == "model_type":
        message = "expected a mapping of options"
    for union, expected in _UNIONS.items():
        if location[: len(union)] == union and problem["loc"] == location:
            location, message = union, expected
    return ConfigError(message, field=field_path(location) or None, source=source)


def _options(location: tuple[int | str, ...]) -> list[str]:
    sections: dict[tuple[int | str, ...], type[BaseModel]] = {
        (): ServerConfig,
        ("limits",): Limits,
        ("timeouts",): Timeouts,
        ("media",): Media,
        ("media", "limits"): MediaLimits,
        ("tls",): TlsFiles,
    }
    if location[:1] == ("ice_servers",):
        return list(IceServer.model_fields)
    return list(sections[location].model_fields)


class _StrictLoader(yaml.SafeLoader):
    """Refuses keys that are no text or given twice: YAML would take the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            problem = ""
            if key.tag != "tag:yaml.org,2002:str":
                problem = f"{name[:80]!r} is not the name of an option"
            elif name in seen:
                problem = f"{name!r} is given twice"
            if problem:
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)
