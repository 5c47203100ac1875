"""The broker that brings tasks to Celery's workers, and who answers at it. Nothing here imports Airflow."""

import os
import ssl
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 5.0
_WORKER_SECONDS = 2.0
_DEFAULT_PORT = 6379


class BrokerError(RuntimeError):
    """The broker does not answer or does not let us in; the message says which and what to do, without the password."""


def address() -> str | None:
    """CITYDATA_BROKER_URL, or None where tasks run beside the scheduler."""
    return os.environ.get("CITYDATA_BROKER_URL") or None


def place(url: str) -> str:
    """Host, port and number of its database, for people."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or _DEFAULT_PORT}{parts.path}"


def own_workers() -> int:
    """How many workers run on this machine (CITYDATA_WORKERS, default 1; 0: they run elsewhere); none without a broker.

    Raises:
        BrokerError: the setting is no such number.
    """
    given = os.environ.get("CITYDATA_WORKERS") or "1"
    if not given.isdecimal():
        raise BrokerError(f"CITYDATA_WORKERS is {given}: it says how many workers run on this machine, 0 or more.")
    return int(given) if address() else 0


def ask(url: str) -> str:
    """The broker's version.

    Raises:
        BrokerError: it does not answer.
    """
    import redis  # noqa: PLC0415  # wanted only where there is a broker

    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS)
    except ValueError:
        raise BrokerError(
            "CITYDATA_BROKER_URL is no address of a broker; it is written redis://:password@host:port/0, or rediss:// with TLS."
        ) from None
    try:
        with client:
            return str(client.info("server")["redis_version"])
    except redis.AuthenticationError:
        raise BrokerError(
            f"The broker at {place(url)} does not accept the password. See CITYDATA_BROKER_URL."
        ) from None
    except (redis.RedisError, OSError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise BrokerError(
                f"The broker at {place(url)} shows a certificate that is not trusted; SSL_CERT_FILE names whom we trust."
            ) from None
        raise BrokerError(
            f"The broker at {place(url)} does not answer ({type(error).__name__}). Tasks wait in Airflow until it does;"
            " see CITYDATA_BROKER_URL and whether Redis runs there."
        ) from None


def workers(url: str) -> list[str]:
    """Names of the workers that answer, wherever they run. Raises BrokerError when the broker does not answer."""
    from celery import Celery  # noqa: PLC0415  # as above

    ask(url)
    options: dict[str, Any] = {}
    if url.startswith("rediss://"):
        authority = os.environ.get("SSL_CERT_FILE")
        options = {"ssl_cert_reqs": ssl.CERT_REQUIRED} | ({"ssl_ca_certs": authority} if authority else {})
    with Celery(broker=url, set_as_current=False, broker_use_ssl=options) as client:
        return sorted(client.control.inspect(timeout=_WORKER_SECONDS).ping() or {})
