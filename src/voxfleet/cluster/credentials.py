"""How gateways and workers trust each other: what a link must have before it may leave this machine.

Rule. Within the machine (unix sockets, loopback) a link needs nothing. Beyond it, it needs TLS, and both ends show who
they are: by the cluster's secret, or by a certificate of the cluster's authority (mTLS). `cluster.insecure` waives TLS
where a mesh encrypts, never the secret. Half a set of TLS files is an error: nothing falls back to plain text silently.
"""

import hmac
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from voxfleet.cluster import discovery
from voxfleet.errors import SettingsError
from voxfleet.settings import ClusterSettings

REFUSAL = "this worker needs the cluster's secret: set cluster.secret of the gateway to the worker's"

Option = tuple[str, int | str]


def channel(address: str, cluster: ClusterSettings, options: Sequence[Option]) -> grpc.aio.Channel:
    """A channel to a worker: at `unix:/path`, `host:port`, or `name@host:port` (its certificate is for `name`).

    Raises SettingsError where the settings do not allow such a link, or a PEM file can't be used. Files are read anew
    each time: a certificate that was replaced counts from the next connection on.
    """
    certified, _, target = address.rpartition("@")
    credentials = _to_dial(target, cluster)
    options = [*options, ("grpc.enable_http_proxy", 0)]  # a link is not web traffic, whatever http_proxy says
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    if certified:
        options.append(("grpc.default_authority", certified))
    return grpc.aio.secure_channel(target, credentials, options=options)


def check(cluster: ClusterSettings) -> None:
    """Raise at start, for all of `cluster.workers`, the SettingsError that `channel` would raise later."""
    for spec in map(discovery.parse, cluster.workers):
        _to_dial(spec.address if isinstance(spec, discovery.Static) else f"{spec.host}:{spec.port}", cluster)
    metadata(cluster)


def add_port(server: grpc.aio.Server, address: str, cluster: ClusterSettings) -> int:
    """Let a worker listen at `unix:/path` or `host:port` (port 0 = any free one); returns the port.

    Raises SettingsError where the settings do not allow a worker to listen there, where a PEM file can't be used, or
    where the address is taken.
    """
    secured = _needs_tls_to_listen(address, cluster)
    credentials = None
    if secured:
        ca = _checked_ca(cluster.tls_ca) if cluster.tls_ca else None
        credentials = grpc.ssl_server_credentials([_checked_pair(cluster)], ca, require_client_auth=ca is not None)
    try:
        if credentials is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, credentials))
    except RuntimeError as error:
        raise SettingsError(f"can't listen at {address}: {error}") from None


def metadata(cluster: ClusterSettings) -> tuple[tuple[str, str], ...]:
    """What a gateway sends with its call: the secret, where there is one. Raises SettingsError for an unsendable one."""
    return (("authorization", f"Bearer {_sendable(cluster.secret)}"),) if cluster.secret else ()


def secret_guard(cluster: ClusterSettings) -> list[grpc.aio.ServerInterceptor]:
    """Interceptors of a worker: calls without the cluster's secret end with UNAUTHENTICATED. Empty without a secret."""
    return [_Guard(cluster.secret)] if cluster.secret else []


def leaves_machine(address: str) -> bool:
    """Whether a link at this address crosses a network. Host names count as elsewhere, except localhost."""
    if address.startswith("unix:"):
        return False
    host, _ = discovery.endpoint(address, lowest_port=0)
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() != "localhost"


def _to_dial(address: str, cluster: ClusterSettings) -> grpc.ChannelCredentials | None:
    """What the gateway dials with; None = plain text, where that is allowed."""
    if not _needs_tls_to_dial(address, cluster):
        return None
    ca = _checked_ca(cluster.tls_ca)
    key, certificate = _checked_pair(cluster) if cluster.tls_cert or cluster.tls_key else (None, None)
    return grpc.ssl_channel_credentials(ca, key, certificate)


def _needs_tls_to_dial(address: str, cluster: ClusterSettings) -> bool:
    """Whether the gateway speaks TLS there. Raises SettingsError naming what to set."""
    if address.startswith("unix:"):
        return False
    if cluster.tls_ca:
        if leaves_machine(address) and not (cluster.secret or cluster.tls_cert):
            raise SettingsError(
                f"the worker at {address} is on another machine: set cluster.secret, or cluster.tls_cert and "
                "cluster.tls_key, so that it knows this gateway"
            )
        return True
    if cluster.tls_cert or cluster.tls_key:
        raise SettingsError("set cluster.tls_ca too: a gateway checks the workers' certificates by it")
    if leaves_machine(address):
        if not cluster.insecure:
            raise SettingsError(
                f"the worker at {address} is on another machine: set cluster.tls_ca to the authority of its "
                "certificate, or cluster.insecure = true where something else encrypts the link"
            )
        if not cluster.secret:
            raise SettingsError(f"the worker at {address} is on another machine: set cluster.secret")
    return False


def _needs_tls_to_listen(address: str, cluster: ClusterSettings) -> bool:
    """Whether a worker speaks TLS there. Raises SettingsError naming what to set."""
    if address.startswith("unix:"):
        return False
    if cluster.tls_cert and cluster.tls_key:
        if leaves_machine(address) and not (cluster.secret or cluster.tls_ca):
            raise SettingsError(
                f"a worker at {address} can be reached from other machines: set cluster.secret, or cluster.tls_ca to "
                "the authority of the gateways' certificates"
            )
        return True
    if cluster.tls_cert or cluster.tls_key or cluster.tls_ca:
        raise SettingsError("set cluster.tls_cert and cluster.tls_key: a worker shows them to its gateways")
    if leaves_machine(address):
        if not cluster.insecure:
            raise SettingsError(
                f"a worker at {address} can be reached from other machines: set cluster.tls_cert and cluster.tls_key, "
                "or cluster.insecure = true where something else encrypts the link"
            )
        if not cluster.secret:
            raise SettingsError(f"a worker at {address} can be reached from other machines: set cluster.secret")
    return False


class _Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Lets calls pass that carry the secret."""

    def __init__(self, secret: str) -> None:
        self._wanted = f"Bearer {_sendable(secret)}".encode()

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[grpc.RpcMethodHandler]], handler_call_details: Any
    ) -> grpc.RpcMethodHandler:
        for key, value in handler_call_details.invocation_metadata or ():
            if key == "authorization":
                shown = value if isinstance(value, bytes) else value.encode()
                if hmac.compare_digest(shown, self._wanted):
                    return await continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


async def _refuse(_requests: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSAL)


def _sendable(secret: str) -> str:
    if not secret.isascii() or not secret.isprintable() or secret != secret.strip():
        raise SettingsError("cluster.secret must be printable ASCII without spaces at its ends; it is sent as metadata")
    return secret


def _checked_ca(path: str) -> bytes:
    pem = _read(path, "cluster.tls_ca")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError, ValueError):
        raise SettingsError(f"cluster.tls_ca: {path} has no PEM certificate in it") from None
    return pem


def _checked_pair(cluster: ClusterSettings) -> tuple[bytes, bytes]:
    """Private key and certificate chain, found to belong together."""
    if not (cluster.tls_cert and cluster.tls_key):
        raise SettingsError("cluster.tls_cert and cluster.tls_key belong together: set both or neither")
    certificate = _read(cluster.tls_cert, "cluster.tls_cert")
    key = _read(cluster.tls_key, "cluster.tls_key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cluster.tls_cert, cluster.tls_key, password=b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            sentence = f"cluster.tls_key: {cluster.tls_key} is not the key of the certificate {cluster.tls_cert}"
        else:
            sentence = (
                f"cluster.tls_cert, cluster.tls_key: {cluster.tls_cert} and {cluster.tls_key} are not a PEM certificate "
                "and its unencrypted PEM key"
            )
        raise SettingsError(sentence) from None
    return key, certificate


def _read(path: str, name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{name}: can't read {path}: {error.strerror}") from None
