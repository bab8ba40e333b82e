"""Given certificates, and the one that the server makes."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from remotemedia_signaling import ConfigError, SignalingServer
from remotemedia_signaling.config import TlsFiles
from remotemedia_signaling.tls import (
    RENEW_DAYS,
    VALID_DAYS,
    OwnCertificate,
    context_from_files,
    local_addresses,
    local_names,
    own_certificate,
)

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
NAMES = {"localhost", "here"}
ADDRESSES: set[Any] = {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("192.0.2.7")}


def make(
    folder: Path,
    *,
    names: set[str] = NAMES,
    addresses: set[Any] = ADDRESSES,
    now: datetime.datetime = NOW,
) -> OwnCertificate:
    return own_certificate(folder, names=names, addresses=addresses, now=now)


def test_a_certificate_names_the_machine(tmp_path: Path) -> None:
    made = make(tmp_path / "tls")
    certificate = x509.load_pem_x509_certificate(made.path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == NAMES
    assert set(names.get_values_for_type(x509.IPAddress)) == ADDRESSES
    assert made.expires == NOW + datetime.timedelta(days=VALID_DAYS)
    assert made.fingerprint.count(":") == 31


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    made = make(tmp_path / "tls")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.path.parent.stat().st_mode) == 0o700
    assert [each.name for each in made.path.parent.iterdir()] == ["server.pem"]


def test_it_is_kept(tmp_path: Path) -> None:
    later = NOW + datetime.timedelta(days=VALID_DAYS - RENEW_DAYS - 1)
    assert make(tmp_path).fingerprint == make(tmp_path, now=later).fingerprint


def test_it_is_kept_when_an_address_is_gone(tmp_path: Path) -> None:
    fewer = {ipaddress.ip_address("127.0.0.1")}
    assert make(tmp_path).fingerprint == make(tmp_path, addresses=fewer).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"now": NOW + datetime.timedelta(days=VALID_DAYS - RENEW_DAYS)},
        {"now": NOW + datetime.timedelta(days=VALID_DAYS + 1)},
        {"now": NOW - datetime.timedelta(days=2)},
        {"names": NAMES | {"elsewhere"}},
        {"addresses": ADDRESSES | {ipaddress.ip_address("192.0.2.8")}},
    ],
)
def test_it_is_renewed_when_it_no_longer_fits(tmp_path: Path, change: dict[str, Any]) -> None:
    assert make(tmp_path).fingerprint != make(tmp_path, **change).fingerprint


def damage_garbage(path: Path) -> None:
    path.write_bytes(b"garbage")


def damage_no_key(path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def damage_other_key(path: Path) -> None:
    other = make(path.parent / "other").path
    key = serialization.load_pem_private_key(other.read_bytes(), password=None)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))


def damage_mode(path: Path) -> None:
    path.chmod(0o644)


@pytest.mark.parametrize("damage", [damage_garbage, damage_no_key, damage_other_key, damage_mode])
def test_a_file_that_cannot_be_trusted_is_replaced(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    first = make(tmp_path)
    damage(first.path)
    second = make(tmp_path)
    assert first.fingerprint != second.fingerprint
    assert stat.S_IMODE(second.path.stat().st_mode) == 0o600
    assert make(tmp_path).fingerprint == second.fingerprint


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^tls: the certificate cannot be kept in .*file"):
        make(tmp_path / "file")


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ConfigError, match="No space left"):
        make(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_cache_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = own_certificate(now=NOW)
    assert tmp_path in made.path.parents or os.name != "posix"


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("Box", {"localhost", "box", "box.local"}),
        ("box.example.org.", {"localhost", "box.example.org"}),
        ("küche", {"localhost"}),
        ("", {"localhost"}),
    ],
)
def test_names_of_the_machine(monkeypatch: pytest.MonkeyPatch, host: str, names: set[str]) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert local_names() == names


def test_addresses_of_the_machine_leave_link_local_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import ifaddr

    adapters = [
        ifaddr.Adapter(
            "eth0",
            "eth0",
            [
                ifaddr.IP("192.0.2.9", 24, "eth0"),
                ifaddr.IP("169.254.1.1", 16, "eth0"),
                ifaddr.IP(("fe80::1", 0, 2), 64, "eth0"),
                ifaddr.IP(("2001:db8::1", 0, 0), 64, "eth0"),
            ],
        )
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)
    assert {str(each) for each in local_addresses()} == {
        "127.0.0.1",
        "::1",
        "192.0.2.9",
        "169.254.1.1",
        "2001:db8::1",
    }


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    """A key and a certificate in two files, as others give them."""
    made = own_certificate(tmp_path, names=NAMES, addresses=ADDRESSES)
    key, _, certificate = made.path.read_bytes().partition(b"-----BEGIN CERTIFICATE")
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_bytes(b"-----BEGIN CERTIFICATE" + certificate)
    return TlsFiles(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")


def test_given_files_make_a_modern_context(files: TlsFiles) -> None:
    context = context_from_files(files)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_missing_file_is_named(files: TlsFiles) -> None:
    files.key.unlink()
    with pytest.raises(ConfigError, match=r"^tls\.key: .*key\.pem is not a file"):
        context_from_files(files)


def test_a_key_of_another_certificate_is_named(files: TlsFiles) -> None:
    other = make(files.key.parent / "other").path.read_bytes().partition(b"-----BEGIN CERT")[0]
    files.key.write_bytes(other)
    with pytest.raises(ConfigError, match=r"^tls\.key: the key does not belong"):
        context_from_files(files)


def test_an_encrypted_key_does_not_ask_on_the_terminal(files: TlsFiles) -> None:
    key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match=r"^tls\.key: the key is encrypted"):
        context_from_files(files)


def test_files_that_are_no_pem_are_refused(files: TlsFiles) -> None:
    files.certificate.write_bytes(b"garbage")
    with pytest.raises(ConfigError, match=r"^tls: not valid PEM files"):
        context_from_files(files)


def test_files_that_cannot_be_read_are_refused(
    files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", fail)
    with pytest.raises(ConfigError, match=r"^tls: cannot be read: Permission denied"):
        context_from_files(files)


async def test_the_server_speaks_tls_with_its_own_certificate(
    start: Callable[..., Awaitable[SignalingServer]], tmp_path: Path
) -> None:
    server = await start({"tls": "auto"}, tls_folder=tmp_path)
    assert server.url.startswith("https://127.0.0.1:")
    assert server.certificate is not None
    context = ssl.create_default_context(cafile=server.certificate.path)
    async with aiohttp.ClientSession(server.url) as session:
        async with session.get("/healthz", ssl=context) as response:
            assert response.status == 200
        origin = {"Origin": server.url}
        async with session.get("/healthz", ssl=context, headers=origin) as response:
            assert response.status == 200
        async with session.ws_connect("/ws", ssl=context, origin=server.url):
            pass


async def test_the_server_speaks_tls_with_given_files(
    start: Callable[..., Awaitable[SignalingServer]], files: TlsFiles
) -> None:
    server = await start({"tls": files.model_dump()})
    assert server.certificate is None
    context = ssl.create_default_context(cafile=files.certificate)
    async with (
        aiohttp.ClientSession(server.url) as session,
        session.get("/healthz", ssl=context) as response,
    ):
        assert response.status == 200
