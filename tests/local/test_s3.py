"""Every port and socket of the S3 server: who has no key gets nothing and changes nothing."""

import base64
import hmac
import json
import random
import socket
import ssl
import struct
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from local.processes import Service, stop, wait
from local.s3 import S3_PORTS, create_bucket, s3_client, start_s3
from tests.conftest import S3, free_ports

CONTENT = random.Random(0).randbytes(1000)  # what SeaweedFS does not compress
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # and empty settings
SETTINGS = 4  # the type of HTTP/2's first frame


@dataclass(frozen=True)
class Server:
    """A running S3 with one object, `vault/key`."""

    service: Service
    client: S3
    folder: Path

    def ports(self) -> list[int]:
        """Every TCP port on which it listens."""
        (process,) = self.service.processes()
        listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
        return sorted(connection.laddr.port for connection in listening)

    def speaks_http(self, port: int) -> bool:
        try:
            httpx.get(f"http://127.0.0.1:{port}/")
        except httpx.RemoteProtocolError:
            return False
        return True

    def sockets(self) -> list[Path]:
        """Every Unix socket on which it listens."""
        (process,) = self.service.processes()
        paths = {c.laddr for c in process.net_connections("unix") if c.laddr}
        return [Path(process.cwd()) / path for path in paths]

    def chunk(self) -> str:
        """Where the volume server keeps the object: `volume,id-and-cookie`.

        Source: SeaweedFS' index has records of 16 bytes (id, offset / 8, size); at the offset in
        the data file stands the cookie.
        """
        for index in (self.folder / "s3").glob("vault_*.idx"):
            record = index.read_bytes()[:16]
            if record:
                identity, offset, _ = struct.unpack(">QII", record)
                data = index.with_suffix(".dat").read_bytes()
                assert CONTENT in data
                cookie = data[offset * 8 : offset * 8 + 4].hex()
                return f"{index.stem.removeprefix('vault_')},{identity:x}{cookie}"
        raise AssertionError("the object is in no volume")

    def token(self, chunk: str) -> str:
        """What the servers show each other to read a chunk, signed with their key."""
        settings = tomllib.loads((self.folder / "s3-run" / "security.toml").read_text())
        key = settings["jwt"]["signing"]["read"]["key"]

        def encode(part: bytes) -> bytes:
            return base64.urlsafe_b64encode(part).rstrip(b"=")

        claims = {"fid": chunk, "exp": int(time.time()) + 60}
        parts = [{"alg": "HS256", "typ": "JWT"}, claims]
        message = b".".join(encode(json.dumps(part).encode()) for part in parts)
        signature = hmac.new(key.encode(), message, "sha256").digest()
        return (message + b"." + encode(signature)).decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("s3")
    port = free_ports(S3_PORTS)
    service = start_s3(folder, port, "owner", "owners-secret")
    s3 = S3(f"http://127.0.0.1:{port}", "vault", "owner", "owners-secret")
    try:
        wait(service, f"{s3.endpoint}/healthz")
        create_bucket("vault", s3.environment())
        s3_client(s3.environment()).put_object(Bucket="vault", Key="key", Body=CONTENT)
        yield Server(service, s3, folder)
    finally:
        stop(service)


def test_its_ports_are_those_it_is_given(server: Server) -> None:
    first = int(server.client.endpoint.rsplit(":", 1)[1])
    assert server.ports() == list(range(first, first + S3_PORTS))


def test_http_gives_nothing_and_takes_nothing_without_a_key(server: Server) -> None:
    chunk = server.chunk()
    volume = chunk.split(",")[0]
    paths = [  # but for "/", where the master shows a page of its own to any method
        "/vault/key",
        "/buckets/vault/key",
        "/buckets/vault/new",
        f"/{chunk}",
        f"/{chunk.replace(',', '/')}",
        f"/dir/lookup?fileId={chunk}&read=yes",
        f"/dir/lookup?volumeId={volume}",
        "/dir/assign",
        "/submit",
        "/col/delete?collection=vault",
        f"/admin/vacuum?volumeId={volume}",
        "/stats/disk",
    ]
    requests = 0
    client = httpx.Client(follow_redirects=True)
    for port in filter(server.speaks_http, server.ports()):
        for path in paths:
            url = f"http://127.0.0.1:{port}{path}"
            for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
                files = {"file": b"stranger"} if method in {"PUT", "POST"} else None
                reply = client.request(method, url, files=files)
                assert CONTENT not in reply.content, (method, url)
                assert "Authorization" not in reply.headers, (method, url)
                if method in {"PUT", "POST", "DELETE"}:
                    assert reply.status_code >= 400, (method, url, reply.text)
                requests += 1
    client.close()
    assert requests == 4 * len(paths) * 5  # S3, master, volume, filer
    objects = s3_client(server.client.environment())
    assert [one["Key"] for one in objects.list_objects_v2(Bucket="vault")["Contents"]] == ["key"]
    assert objects.get_object(Bucket="vault", Key="key")["Body"].read() == CONTENT


def test_a_chunk_is_given_for_the_servers_own_token(server: Server) -> None:
    """The addresses of the test above are right: it is the token that is missing."""
    chunk = server.chunk()
    (port,) = [
        port
        for port in filter(server.speaks_http, server.ports())
        if httpx.get(f"http://127.0.0.1:{port}/{chunk}").status_code == 401
    ]
    headers = {"Authorization": f"Bearer {server.token(chunk)}"}
    assert httpx.get(f"http://127.0.0.1:{port}/{chunk}", headers=headers).content == CONTENT


def first_frame(port: int, certificate: Path | None = None, plain: bool = False) -> int | None:
    """The type of the first HTTP/2 frame that a gRPC port sends; None if it hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if certificate is not None:
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    try:
        raw = socket.create_connection(("127.0.0.1", port), timeout=30)
        with raw if plain else context.wrap_socket(raw) as connection:
            connection.sendall(PREFACE)
            frame = connection.recv(9)
            return frame[3] if len(frame) == 9 else None
    except (ssl.SSLError, ConnectionError):
        return None


def test_grpc_hangs_up_on_who_has_no_certificate(server: Server) -> None:
    ports = [port for port in server.ports() if not server.speaks_http(port)]
    assert len(ports) == 4
    own = server.folder / "s3-run" / "certificate.pem"
    assert [first_frame(port, own) for port in ports] == [SETTINGS] * 4
    assert [first_frame(port) for port in ports] == [None] * 4
    assert [first_frame(port, plain=True) for port in ports] == [None] * 4


def test_sockets_and_folders_are_their_owners_alone(server: Server) -> None:
    sockets = server.sockets()
    assert {"s3.sock", "filer.sock"} <= {path.name for path in sockets}
    folders = [server.folder / "s3", server.folder / "s3-run"]
    assert [str(path) for path in (*sockets, *folders) if path.stat().st_mode & 0o077] == []


def test_nothing_stays_in_the_folder_of_temporary_files(tmp_path: Path) -> None:
    port = free_ports(S3_PORTS)
    service = start_s3(tmp_path, port, "k", "s")
    wait(service, f"http://127.0.0.1:{port}/healthz")
    (process,) = service.processes()
    stop(service)
    ours = [*map(str, range(port, port + S3_PORTS)), f".{process.pid}"]
    leftovers = [
        file.name
        for file in {*Path(tempfile.gettempdir()).iterdir(), *Path("/tmp").iterdir()}
        if file.name.startswith(("weed.", "seaweedfs-")) and any(one in file.name for one in ours)
    ]
    assert leftovers == []
