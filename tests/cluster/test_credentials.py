"""Real handshakes: who shows the right secret or certificate is let in, everybody else is told why not."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from voxfleet.cluster import credentials, link_pb2_grpc
from voxfleet.cluster import link_pb2 as pb
from voxfleet.errors import SettingsError
from voxfleet.settings import ClusterSettings

NOTHING = ClusterSettings()
SECRET = ClusterSettings(secret="correct horse battery staple")

CONFIG = """
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
subjectKeyIdentifier = hash
[worker]
subjectAltName = DNS:workers.test, DNS:localhost, IP:127.0.0.1
[service]
subjectAltName = DNS:workers.test
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a folder, made with the openssl command line."""

    folder: Path
    name: str

    @property
    def ca(self) -> str:
        return str(self.folder / f"{self.name}.pem")

    def founded(self) -> "Authority":
        self._openssl("req", "-x509", *self._new_key(self.name), "-out", self.ca, "-days", "2")
        return self

    def certificate(self, name: str, extensions: str = "worker") -> ClusterSettings:
        """Settings of a process with a certificate of this authority, and nothing else."""
        request, pem = self.folder / f"{name}.csr", self.folder / f"{name}.pem"
        self._openssl("req", "-new", *self._new_key(name), "-out", request)
        signing = ("-CA", self.ca, "-CAkey", self.folder / f"{self.name}.key", "-set_serial", "1", "-days", "2")
        config = ("-extfile", self.folder / "openssl.cnf", "-extensions", extensions)
        self._openssl("x509", "-req", "-in", request, *signing, *config, "-out", pem)
        return ClusterSettings(tls_cert=str(pem), tls_key=str(self.folder / f"{name}.key"))

    def _new_key(self, name: str) -> tuple[str | Path, ...]:
        config = self.folder / "openssl.cnf"
        config.write_text(CONFIG)
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        return ("-config", config, *curve, "-keyout", self.folder / f"{name}.key", "-subj", f"/CN={name}")

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with the openssl command line, which is not installed")
    return Authority(tmp_path_factory.mktemp("ours"), "ours").founded()


@pytest.fixture(scope="module")
def worker(ours: Authority) -> ClusterSettings:
    return ours.certificate("worker")


@pytest.fixture(scope="module")
def theirs(ours: Authority, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"), "theirs").founded()


class Greeter(link_pb2_grpc.LinkServicer):
    """A worker that only says its name."""

    async def Join(self, request_iterator, context):  # noqa: N802
        yield pb.Answer(welcome=pb.Welcome(worker="greeter"))


@asynccontextmanager
async def listening(cluster: ClusterSettings, address: str = "127.0.0.1:0") -> AsyncIterator[int]:
    server = grpc.aio.server(interceptors=credentials.secret_guard(cluster))
    link_pb2_grpc.add_LinkServicer_to_server(Greeter(), server)
    port = credentials.add_port(server, address, cluster)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def joined(address: str, cluster: ClusterSettings) -> str:
    """The greeting of the worker at this address. Raises AioRpcError."""
    async with credentials.channel(address, cluster, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = link_pb2_grpc.LinkStub(channel).Join(metadata=credentials.metadata(cluster))
        try:
            async with asyncio.timeout(30):
                answer = await call.read()  # nothing is written: gRPC forgets a refusal that comes in the midst of that
                return str(answer.welcome.worker)
        finally:
            call.cancel()


async def refused(address: str, cluster: ClusterSettings) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await joined(address, cluster)
    return caught.value.code(), caught.value.details() or ""


async def test_within_the_machine_nothing_is_needed(tmp_path: Path) -> None:
    async with listening(NOTHING) as port:
        assert await joined(f"127.0.0.1:{port}", NOTHING) == "greeter"
        assert await joined(f"localhost:{port}", NOTHING) == "greeter"
    async with listening(NOTHING, f"unix:{tmp_path}/w.sock"):
        assert await joined(f"unix:{tmp_path}/w.sock", NOTHING) == "greeter"


async def test_the_secret_opens_links_within_the_machine_too(tmp_path: Path) -> None:
    async with listening(SECRET, f"unix:{tmp_path}/w.sock"):
        assert await joined(f"unix:{tmp_path}/w.sock", SECRET) == "greeter"


@pytest.mark.parametrize("secret", ["", "wrong", "correct horse battery stapl", "correct horse battery staple!"])
async def test_who_has_not_the_secret_is_told_what_to_set(secret: str) -> None:
    async with listening(SECRET) as port:
        code, details = await refused(f"127.0.0.1:{port}", ClusterSettings(secret=secret))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert details == credentials.REFUSAL


async def test_the_secret_counts_as_a_bearer_token_only():
    async with listening(SECRET) as port, credentials.channel(f"127.0.0.1:{port}", SECRET, []) as channel:
        call = link_pb2_grpc.LinkStub(channel).Join(metadata=(("authorization", SECRET.secret),))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_over_tls_with_the_secret(ours: Authority, worker: ClusterSettings) -> None:
    async with listening(replace(worker, secret=SECRET.secret), "0.0.0.0:0") as port:
        gateway = replace(SECRET, tls_ca=ours.ca)
        assert await joined(f"127.0.0.1:{port}", gateway) == "greeter"
        assert await joined(f"localhost:{port}", gateway) == "greeter"
        code, _ = await refused(f"127.0.0.1:{port}", replace(gateway, secret="wrong"))
        assert code is grpc.StatusCode.UNAUTHENTICATED
        code, _ = await refused(f"127.0.0.1:{port}", SECRET)  # plain text to a worker that speaks TLS
        assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_worker_of_another_authority_is_not_trusted(theirs: Authority, worker: ClusterSettings) -> None:
    async with listening(replace(worker, secret=SECRET.secret), "0.0.0.0:0") as port:
        code, details = await refused(f"127.0.0.1:{port}", replace(SECRET, tls_ca=theirs.ca))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "CERTIFICATE_VERIFY_FAILED" in details


async def test_a_certificate_is_for_the_name_that_was_resolved(ours: Authority) -> None:
    gateway = replace(SECRET, tls_ca=ours.ca)
    async with listening(replace(ours.certificate("pod", "service"), secret=SECRET.secret), "0.0.0.0:0") as port:
        assert await joined(f"workers.test@127.0.0.1:{port}", gateway) == "greeter"
        for address in (f"127.0.0.1:{port}", f"others.test@127.0.0.1:{port}"):
            code, _ = await refused(address, gateway)
            assert code is grpc.StatusCode.UNAVAILABLE


async def test_mutual_tls_needs_no_secret(ours: Authority, theirs: Authority, worker: ClusterSettings) -> None:
    gateway = replace(ours.certificate("gateway"), tls_ca=ours.ca)
    stranger = replace(theirs.certificate("stranger"), tls_ca=ours.ca)
    async with listening(replace(worker, tls_ca=ours.ca), "0.0.0.0:0") as port:
        assert await joined(f"127.0.0.1:{port}", gateway) == "greeter"
        for other in (stranger, ClusterSettings(tls_ca=ours.ca)):
            code, _ = await refused(f"127.0.0.1:{port}", other)
            assert code is grpc.StatusCode.UNAVAILABLE


async def test_both_where_both_are_set(ours: Authority, worker: ClusterSettings) -> None:
    gateway = replace(ours.certificate("gateway"), tls_ca=ours.ca)
    async with listening(replace(worker, tls_ca=ours.ca, secret=SECRET.secret), "0.0.0.0:0") as port:
        assert await joined(f"127.0.0.1:{port}", replace(gateway, secret=SECRET.secret)) == "greeter"
        code, _ = await refused(f"127.0.0.1:{port}", gateway)
        assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_mesh_waives_encryption_not_the_secret():
    mesh = replace(SECRET, insecure=True)
    async with listening(mesh, "0.0.0.0:0") as port:
        assert await joined(f"127.0.0.1:{port}", mesh) == "greeter"
        code, _ = await refused(f"127.0.0.1:{port}", replace(mesh, secret=""))
        assert code is grpc.StatusCode.UNAUTHENTICATED


PAIR = ClusterSettings(tls_cert="cert.pem", tls_key="key.pem")


@pytest.mark.parametrize(
    ("address", "cluster", "named"),
    [
        ("0.0.0.0:0", NOTHING, "cluster.tls_cert and cluster.tls_key"),
        ("0.0.0.0:0", SECRET, "cluster.tls_cert and cluster.tls_key"),
        ("[::]:0", SECRET, "cluster.tls_cert and cluster.tls_key"),
        ("worker-1:50051", SECRET, "cluster.tls_cert and cluster.tls_key"),
        ("0.0.0.0:0", ClusterSettings(insecure=True), "cluster.secret"),
        ("0.0.0.0:0", PAIR, "cluster.secret, or cluster.tls_ca"),
        ("127.0.0.1:0", ClusterSettings(tls_ca="ca.pem"), "cluster.tls_cert and cluster.tls_key"),
        ("127.0.0.1:0", replace(PAIR, tls_key=""), "cluster.tls_cert and cluster.tls_key"),
        ("nonsense", SECRET, "'nonsense'"),
    ],
)
async def test_a_worker_does_not_listen_where_it_could_not_be_trusted(
    address: str, cluster: ClusterSettings, named: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        credentials.add_port(grpc.aio.server(), address, cluster)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("address", "cluster", "named"),
    [
        ("10.0.0.1:1", NOTHING, "cluster.tls_ca"),
        ("workers.test@10.0.0.1:1", SECRET, "cluster.tls_ca"),
        ("worker-1:1", ClusterSettings(insecure=True), "cluster.secret"),
        ("worker-1:1", ClusterSettings(tls_ca="ca.pem"), "cluster.secret, or cluster.tls_cert and cluster.tls_key"),
        ("127.0.0.1:1", PAIR, "cluster.tls_ca"),
    ],
)
async def test_a_gateway_does_not_dial_where_it_could_not_trust(
    address: str, cluster: ClusterSettings, named: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        credentials.channel(address, cluster, [])
    assert named in str(caught.value)


@pytest.mark.parametrize("spec", ["10.0.0.1:1", "dns:workers.test:1"])
def test_what_can_not_be_dialled_later_is_said_at_start(spec: str) -> None:
    with pytest.raises(SettingsError, match=r"cluster\.tls_ca"):
        credentials.check(replace(SECRET, workers=("unix:/w", spec)))
    credentials.check(replace(SECRET, workers=("unix:/w", spec), insecure=True))


def test_files_that_can_not_be_used_are_named(ours: Authority, worker: ClusterSettings, tmp_path: Path) -> None:
    other = ours.certificate("other")
    garbage, locked = tmp_path / "garbage.pem", tmp_path / "locked.key"
    garbage.write_text("not a certificate")
    lock = ["openssl", "ec", "-in", worker.tls_key, "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(lock, check=True, capture_output=True, timeout=60)
    faults = {
        "can't read": replace(worker, tls_ca=str(tmp_path / "absent.pem")),
        "cluster.tls_ca: .*garbage.pem has no PEM certificate": replace(worker, tls_ca=str(garbage)),
        "cluster.tls_ca: .*worker.key has no PEM certificate": replace(worker, tls_ca=worker.tls_key),
        "cluster.tls_key: .*other.key is not the key of": replace(worker, tls_ca=ours.ca, tls_key=other.tls_key),
        "garbage.pem and .*worker.key are not a PEM": replace(worker, tls_ca=ours.ca, tls_cert=str(garbage)),
        "locked.key are not a PEM": replace(worker, tls_ca=ours.ca, tls_key=str(locked)),
        "belong together": ClusterSettings(secret="s", tls_ca=ours.ca, tls_key=worker.tls_key),
    }
    for sentence, cluster in faults.items():
        with pytest.raises(SettingsError, match=sentence):
            credentials.check(replace(cluster, workers=("worker-1:50051",)))


@pytest.mark.parametrize("secret", ["pässword", "two\nlines", " padded "])
def test_a_secret_that_can_not_be_sent_is_a_wrong_setting(secret: str) -> None:
    cluster = ClusterSettings(secret=secret)
    with pytest.raises(SettingsError, match=r"cluster\.secret"):
        credentials.metadata(cluster)
    with pytest.raises(SettingsError, match=r"cluster\.secret"):
        credentials.secret_guard(cluster)


async def test_a_taken_address_is_said_by_name():
    async with listening(NOTHING) as port:
        with pytest.raises(SettingsError, match=f"can't listen at 127.0.0.1:{port}"):
            credentials.add_port(grpc.aio.server(options=[("grpc.so_reuseport", 0)]), f"127.0.0.1:{port}", NOTHING)
