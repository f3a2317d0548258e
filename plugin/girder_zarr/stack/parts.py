"""The four parts of the stack: the command line of each, and the check that it answers."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from girder_zarr.errors import StackError

from .environment import SECRETS, inherited
from .folder import free_port
from .options import find_broker_program, is_amqp, redis_databases, without_password
from .part import Part

if TYPE_CHECKING:
    from .folder import DataFolder
    from .options import Options

#: In the environment of every process of a stack, which identifies them among all processes.
MARKER = 'GIRDER_ZARR_STACK'


def plan_parts(
    options: Options, folder: DataFolder, listener: socket.socket
) -> tuple[list[Part], list[Part]]:
    """Return the parts that serve (database and broker, where they are ours) and those that use them.

    :raises StackError: a server that the user named does not answer.
    """
    environment = inherited(os.environ, options.host)
    environment[MARKER] = str(folder.path)
    servers = []
    if options.mongo_uri is None:
        database, mongo_uri = embedded_database(folder, environment)
        servers.append(database)
    else:
        mongo_uri = options.mongo_uri
        if not mongo_answers(mongo_uri, 5000):
            msg = f'The database at {without_password(mongo_uri)} does not answer.'
            raise StackError(msg)
    if options.broker is None or is_amqp(options.broker):
        broker, addresses = embedded_broker(folder, environment)
        servers.append(broker)
        if options.broker is not None:
            # The embedded server has the notifications and the results.
            if not amqp_answers(options.broker):
                msg = f'The broker at {without_password(options.broker)} does not answer.'
                raise StackError(msg)
            addresses = (addresses[0], options.broker, addresses[2])
    else:
        addresses = redis_databases(options.broker)
        if not redis_answers(addresses[0]):
            msg = f'The broker at {without_password(options.broker)} does not answer.'
            raise StackError(msg)
    environment |= girder_environment(options, listener, mongo_uri, addresses)
    return servers, [web(options, folder, environment, listener), worker(options, folder, environment)]


def girder_environment(
    options: Options, listener: socket.socket, mongo_uri: str, addresses: tuple[str, str, str]
) -> dict[str, str]:
    """Return what Girder and its worker read from their environment."""
    notifications, broker, results = addresses
    variables = {
        'GIRDER_MONGO_URI': mongo_uri,
        'GIRDER_NOTIFICATION_REDIS_URL': notifications,
        'GIRDER_WORKER_BROKER': broker,
        'GIRDER_WORKER_BACKEND': results,
        'GIRDER_WORKER_API_URL': local_url(options.host, listener) + 'api/v1',
        'GIRDER_SERVER_MODE': 'production',
        'PYTHONUNBUFFERED': '1',
    }
    if hasattr(os, 'geteuid') and os.geteuid() == 0:
        # Celery refuses to run as root without this.
        variables['C_FORCE_ROOT'] = '1'
    return variables


def local_url(host: str, listener: socket.socket) -> str:
    """Return the address at which a program on this machine reaches the server, with a slash at the end."""
    if host in ('0.0.0.0', '::', ''):  # noqa: S104 - compared, not bound
        host = '127.0.0.1' if listener.family == socket.AF_INET else '::1'
    if ':' in host:
        host = f'[{host}]'
    return f'http://{host}:{listener.getsockname()[1]}/'


def embedded_database(folder: DataFolder, environment: dict[str, str]) -> tuple[Part, str]:
    """Return the database and its address.

    SecantusDB is under the GPL: it only ever runs as a program of its own.
    """
    port = free_port()
    # Without a file of its own it would take settings from one in the home directory.
    settings = folder.run / 'database.toml'
    settings.touch(mode=0o600)
    # Without the journal a write that was acknowledged is lost when the database is killed right after it.
    uri = f'mongodb://127.0.0.1:{port}/girder?journal=true'
    command = [
        sys.executable, '-m', 'secantus', '--config', str(settings), '--host', '127.0.0.1',
        '--port', str(port), '--storage-path', str(folder.database), '--standalone', '--cache-size', '256M',
        '--log-level', 'WARNING',
    ]  # fmt: skip
    part = Part(
        'database',
        command,
        folder.logs / 'database.log',
        environment,
        folder.temporary('database'),
        ready=lambda: port_is_open(port) and mongo_answers(uri, 500),
        pass_fds=(folder.lock,),
    )
    return part, uri


def embedded_broker(folder: DataFolder, environment: dict[str, str]) -> tuple[Part, tuple[str, str, str]]:
    """Return the broker and the addresses of its three databases.

    It listens at a Unix socket in a folder that only this user can enter, because a user who can write
    to the broker can give the worker jobs. It stores nothing on disk: lasting state is in Girder's database.
    """
    program = find_broker_program()
    assert program is not None, 'Options.checked has looked for it'
    path = folder.socket_path()
    command = [
        program, '--port', '0', '--unixsocket', str(path), '--unixsocketperm', '700', '--save', '',
        '--appendonly', 'no', '--dir', str(folder.run), '--daemonize', 'no',
    ]  # fmt: skip
    part = Part(
        'broker',
        command,
        folder.logs / 'broker.log',
        environment,
        folder.temporary('broker'),
        ready=lambda: redis_answers(f'unix://{path}?db=0'),
    )
    socket_url = f'redis+socket://{path}?virtual_host='
    return part, (f'unix://{path}?db=0', f'{socket_url}1', f'{socket_url}2')


def web(options: Options, folder: DataFolder, environment: dict[str, str], listener: socket.socket) -> Part:
    """Return Girder's web server; it inherits the socket to listen at."""
    secrets = {name: os.environ[name] for name in SECRETS if name in os.environ}
    command = [
        sys.executable, '-m', 'girder_zarr.stack.child.web', '--socket', str(listener.fileno()),
        '--assetstore', str(folder.assetstore),
    ]  # fmt: skip
    return Part(
        'Girder server',
        command,
        folder.logs / 'girder.log',
        environment | secrets,
        folder.temporary('server'),
        reports=True,
        pass_fds=(listener.fileno(),),
        once=['--reset-password'] if options.reset_password else [],
    )


def worker(options: Options, folder: DataFolder, environment: dict[str, str]) -> Part:
    """Return the Celery worker that runs Girder's jobs."""
    command = [sys.executable, '-m', 'girder_zarr.stack.child.worker', '--concurrency', str(options.workers)]
    log, temporary = folder.logs / 'worker.log', folder.temporary('worker')
    return Part('worker', command, log, environment, temporary, reports=True)


def port_is_open(port: int) -> bool:
    """Whether something listens at the port of 127.0.0.1."""
    try:
        socket.create_connection(('127.0.0.1', port), 0.3).close()
    except OSError:
        return False
    return True


def mongo_answers(uri: str, milliseconds: int) -> bool:
    """Whether a MongoDB server answers a ping."""
    import pymongo
    from pymongo.errors import PyMongoError

    try:
        client: pymongo.MongoClient[dict[str, object]]
        with pymongo.MongoClient(uri, serverSelectionTimeoutMS=milliseconds) as client:
            client.admin.command('ping')
    except PyMongoError:
        return False
    return True


def amqp_answers(url: str) -> bool:
    """Whether a RabbitMQ server lets a client in."""
    from kombu.connection import Connection

    try:
        with Connection(url, connect_timeout=3) as connection:  # type: ignore[no-untyped-call]
            connection.connect()
    except Exception:  # noqa: BLE001 - which errors there are depends on the transport
        return False
    return True


def redis_answers(url: str) -> bool:
    """Whether a Redis or Valkey server answers a ping."""
    parts = urlsplit(url)
    if parts.scheme == 'unix' and not os.path.exists(parts.path):  # noqa: PTH110 - cheaper than importing the client
        return False
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=3) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError, ValueError):
        return False
