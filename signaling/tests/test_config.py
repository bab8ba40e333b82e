"""The configuration, its default file and its schema."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from remotemedia_signaling import ConfigError, ServerConfig
from remotemedia_signaling import schema as schema_command
from remotemedia_signaling.config import TlsFiles, is_loopback, server_schema

CONFIGS = Path(__file__).parents[2] / "configs"
DEFAULT = CONFIGS / "server" / "default.yaml"
SCHEMA = CONFIGS / "schema" / "server.schema.json"


def options(section: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, value in section.items():
        found.add(prefix + name)
        if isinstance(value, dict):
            found |= options(value, f"{prefix}{name}.")
    return found


def test_the_default_file_equals_the_defaults() -> None:
    assert ServerConfig.load(DEFAULT) == ServerConfig()


def test_the_default_file_has_every_option() -> None:
    written = yaml.safe_load(DEFAULT.read_text())
    assert options(written) == options(ServerConfig().model_dump(mode="json"))


def test_every_option_of_the_default_file_is_explained() -> None:
    lines = DEFAULT.read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r" *[a-z_]+:", line):
            assert before.lstrip().startswith("#"), line


def test_the_schema_is_up_to_date() -> None:
    assert SCHEMA.read_text() == server_schema(), "run make schema"


def test_the_schema_accepts_the_default_file_and_describes_every_option() -> None:
    schema = json.loads(server_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(DEFAULT.read_text()), schema)
    for section in [schema, *schema["$defs"].values()]:
        assert section["additionalProperties"] is False
        for name, option in section["properties"].items():
            assert "description" in option or "$ref" in option, name


def test_the_schema_command_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema_command.main([str(tmp_path / "x.json")])
    schema_command.main([])
    assert (tmp_path / "x.json").read_text() == capsys.readouterr().out == server_schema()


def test_an_empty_file_is_the_default() -> None:
    assert ServerConfig.from_yaml("# nothing\n") == ServerConfig()


def test_values_are_read_and_normalised() -> None:
    config = ServerConfig.from_yaml(
        """
        host: 0.0.0.0
        tls: off
        allowed_origins: ["HTTPS://App.Example:443/", "*", "http://localhost:5173"]
        allowed_hosts: [Media.Example.]
        media: {bind: "::", media_ports: [40000, 40003], reactors: 4, loopback: false,
                advertised_addresses: [203.0.113.7]}
        """
    )
    assert config.tls == "off"
    assert config.allowed_origins == ["https://app.example", "*", "http://localhost:5173"]
    assert config.allowed_hosts == ["media.example"]
    assert not config.is_loopback
    assert config.engine_settings() == {
        "bind": "::",
        "media_ports": [40000, 40003],
        "reactors": 4,
        "advertised_addresses": ["203.0.113.7"],
        "loopback": False,
        "limits": {"max_sessions": 1000, "max_participants": 16},
    }


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_loopback_candidates_follow_the_host(host: str, loopback: bool) -> None:
    assert ServerConfig(host=host).engine_settings()["loopback"] is loopback


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("::1", True),
        ("127.1.2.3", True),
        ("::", False),
        ("example.org", False),
    ],
)
def test_loopback_hosts_are_known(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prt: 3", "prt: unknown option: did you mean port?"),
        ("zzz: 3", "zzz: unknown option: known: host, port, tls,"),
        ("limits: {body_byte: 3}", "limits.body_byte: unknown option: did you mean body_bytes?"),
        ("media: {limits: {sessions: 3}}", "media.limits.sessions: unknown option"),
        ("ice_servers: [{url: x, urls: ['stun:x']}]", "ice_servers[0].url: unknown option"),
        ("port: x", "port: Input should be a valid integer"),
        ("port: true", "port: Input should be a valid integer"),
        ("timeouts: {body_s: true}", "timeouts.body_s: Input should be a valid number"),
        ("port: 65536", "port: Input should be less than or equal to 65535"),
        ("limits: 3", "limits: expected a mapping of options"),
        ("host: ''", "host: "),
        ("tls: maybe", "tls: expected off, auto, or a mapping"),
        ("tls: {certificate: a}", "tls.key: Field required"),
        ("tls: {certificate: a, key: b, c: d}", "tls.c: unknown option"),
        ("media: {reactors: 0}", "media.reactors: expected auto or a number from 1 to 256"),
        ("media: {loopback: 3}", "media.loopback: expected auto, true or false"),
        ("media: {media_ports: [5, 2]}", "media.media_ports: expected [first, last]"),
        ("media: {media_ports: [0, 2]}", "media.media_ports: expected [first, last]"),
        ("media: {bind: here}", "media.bind: value is not a valid IPv4 or IPv6 address"),
        ("ice_servers: [{urls: ['http://x']}]", "ice_servers[0].urls: 'http://x' is not a stun:"),
        ("ice_servers: [{urls: ['turn:x']}]", "ice_servers[0]: a TURN server needs username"),
        ("ice_servers: [{urls: []}]", "ice_servers[0].urls: "),
        ("allowed_origins: ['https://x.org/path']", "allowed_origins: 'https://x.org/path' is not"),
        ("allowed_origins: ['x.org']", "allowed_origins: 'x.org' is not an origin"),
        ("allowed_origins: ['http://[']", "allowed_origins: 'http://[' is not an origin"),
        ("timeouts: {request_s: 0}", "timeouts.request_s: Input should be greater than 0"),
        ("port: 1\nport: 2", "not valid YAML: 'port' is given twice"),
        ("? [a]\n: 3", "not valid YAML"),
        ("a: [", "not valid YAML"),
        ("[1]", "expected a mapping of options"),
        ("5: 6", "not valid YAML: '5' is not the name of an option"),
    ],
)
def test_a_wrong_option_is_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        ServerConfig.from_yaml(text, source="my.yaml")
    assert str(error.value).startswith(f"my.yaml: {says}")
    assert error.value.source == "my.yaml"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text("web_root: web\ntls: {certificate: a.pem, key: /etc/b.pem}\n")
    config = ServerConfig.load(file)
    assert config.web_root == tmp_path / "web"
    assert config.tls == TlsFiles(certificate=tmp_path / "a.pem", key=Path("/etc/b.pem"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"#" * (1 << 20) + b"\n", "larger than 1048576 bytes"),
        (b"port: x", "port: "),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    file = tmp_path / "server.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        ServerConfig.load(file)
    assert str(error.value).startswith(f"{file}: {says}")
