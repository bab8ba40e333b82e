"""TLS: a given certificate, or one that this server makes for itself and keeps.

Browsers give a microphone only to secure pages, so a phone on the same network needs TLS. Nobody
vouches for a certificate made here: the browser warns once.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ifaddr
import platformdirs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from remotemedia_signaling.config import ConfigError, TlsFiles

VALID_DAYS: Final = 397
"""The longest that current browsers accept."""
RENEW_DAYS: Final = 14
"""A certificate with less time left is replaced at the next start."""
_FILE_NAME: Final = "server.pem"

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """A certificate of ours: its file (key and certificate, mode 0600) and what to compare."""

    path: Path
    fingerprint: str
    expires: datetime.datetime


def context_from_files(files: TlsFiles) -> ssl.SSLContext:
    """Make a server context from PEM files.

    Raises:
        ConfigError: naming `tls.certificate` or `tls.key`.

    """
    for field, path in (("tls.certificate", files.certificate), ("tls.key", files.key)):
        if not path.is_file():
            raise ConfigError(f"{path} is not a file", field=field)
    return _context(files.certificate, files.key)


def own_context(folder: Path | None = None) -> tuple[ssl.SSLContext, OwnCertificate]:
    """Make a server context with a certificate of ours, made or renewed if needed."""
    certificate = own_certificate(folder)
    return _context(certificate.path, certificate.path), certificate


def own_certificate(
    folder: Path | None = None,
    *,
    names: set[str] | None = None,
    addresses: set[IpAddress] | None = None,
    now: datetime.datetime | None = None,
) -> OwnCertificate:
    """Return the kept certificate while it is valid, private and ours, or a new one."""
    folder = folder or platformdirs.user_cache_path("remotemedia") / "tls"
    names = local_names() if names is None else names
    addresses = local_addresses() if addresses is None else addresses
    now = now or datetime.datetime.now(datetime.timezone.utc)
    path = folder / _FILE_NAME
    certificate = _usable(path, names, addresses, now)
    if certificate is None:
        certificate = _make(path, names, addresses, now)
    return OwnCertificate(
        path=path,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        expires=certificate.not_valid_after_utc,
    )


def local_names() -> set[str]:
    """Names under which this machine may be asked for."""
    name = socket.gethostname().lower().rstrip(".")
    names = {"localhost", name}
    if name and "." not in name:
        names.add(f"{name}.local")
    return {each for each in names if each and each.isascii()}


def local_addresses() -> set[IpAddress]:
    """Every address of this machine, loopback included; link-local ones of IPv6 left out."""
    found: set[IpAddress] = {ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if address.version == 4 or not address.is_link_local:  # noqa: PLR2004 (IP version)
                found.add(address)
    return found


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password function OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password=_no_password)
    except ValueError as error:
        raise ConfigError(
            "the key is encrypted; give one without a password", field="tls.key"
        ) from error
    except ssl.SSLError as error:
        mismatch = "KEY_VALUES_MISMATCH" in (error.reason or "")
        raise ConfigError(
            "the key does not belong to the certificate" if mismatch else "not valid PEM files",
            field="tls.key" if mismatch else "tls",
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", field="tls") from error
    return context


def _no_password() -> str:
    raise ValueError("encrypted")


def _usable(
    path: Path, names: set[str], addresses: set[IpAddress], now: datetime.datetime
) -> x509.Certificate | None:
    try:
        status = path.stat()
        data = path.read_bytes()
        certificate = x509.load_pem_x509_certificate(data)
        key = serialization.load_pem_private_key(data, password=None)
        alternatives = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return None
    if os.name == "posix" and (
        stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.getuid()
    ):
        return None  # others may have read or put it
    begun = certificate.not_valid_before_utc <= now
    lasts = certificate.not_valid_after_utc - now > datetime.timedelta(days=RENEW_DAYS)
    covers = names <= set(alternatives.get_values_for_type(x509.DNSName)) and addresses <= set(
        alternatives.get_values_for_type(x509.IPAddress)
    )
    matches = key.public_key() == certificate.public_key()
    return certificate if begun and lasts and covers and matches else None


def _make(
    path: Path, names: set[str], addresses: set[IpAddress], now: datetime.datetime
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "RemoteMedia on this machine")])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in sorted(names)]
    alternatives += [x509.IPAddress(address) for address in sorted(addresses, key=str)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    _write_private(path, pem)
    return certificate


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes the file with mode 0600.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".server-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigError(
            f"the certificate cannot be kept in {path.parent}: {error.strerror}", field="tls"
        ) from error
