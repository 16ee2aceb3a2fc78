"""What keeps strangers out of the inner ports of SeaweedFS.

Its servers talk to each other over gRPC and HTTP, which anyone on the machine could do as well.
With these files they present a certificate and tokens to each other, both made anew at each start.
Source: `weed scaffold -config=security`.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.private_file import write_private

CERTIFICATE = "certificate.pem"
PRIVATE_KEY = "key.pem"
# Writes to the volume server, reads from it, writes to the filer, reads from it
TOKENS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
VALID = timedelta(days=3650)


def write_security(folder: Path, servers: Sequence[str]) -> None:
    """Write `security.toml`, a certificate and its key, for their owner's eyes only.

    Args:
        folder: the configuration folder of SeaweedFS.
        servers: the names of the servers that run.
    """
    certificate, key = make_certificate()
    write_private(folder / CERTIFICATE, certificate)
    write_private(folder / PRIVATE_KEY, key)
    lines = ["[grpc]", f'ca = "{folder / CERTIFICATE}"']
    for name in (*servers, "client"):
        lines += [f"[grpc.{name}]", f'cert = "{folder / CERTIFICATE}"']
        lines += [f'key = "{folder / PRIVATE_KEY}"']
    for name in TOKENS:
        lines += [f"[{name}]", f'key = "{secrets.token_hex(32)}"']
    write_private(folder / "security.toml", "\n".join(lines) + "\n")


def make_certificate() -> tuple[str, str]:
    """A certificate that signs itself, and its private key, both in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local S3")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
