"""A RabbitMQ server of a test's own, below a folder, that gives consumers little time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from girder_zarr.stack.folder import free_port
from girder_zarr.stack.parts import amqp_answers

from .rabbitmq_packages import UnavailableError, unpacked
from .waiting import wait_until


def find_programs(*, may_fetch=True):
    """Return the folder of RabbitMQ's programs and a PATH with Erlang's.

    That of RABBITMQ_HOME or Debian's, with the `erl` of the PATH, or what `rabbitmq_packages` unpacks.

    :raises UnavailableError: there is none, and nothing may or can be fetched.
    """
    path, named = os.environ.get('PATH', os.defpath), os.environ.get('RABBITMQ_HOME')
    places = [Path(named)] if named else homes(Path('/'))
    found = [place for place in places if (place / 'sbin/rabbitmq-server').is_file()]
    if found and shutil.which('erl'):
        return found[-1], path
    if named:
        msg = 'RABBITMQ_HOME names no folder of RabbitMQ, or there is no erl on the PATH'
        raise UnavailableError(msg)
    if not may_fetch:
        msg = 'neither RABBITMQ_HOME nor Debian has one, and only make test-rabbitmq fetches one'
        raise UnavailableError(msg)
    root = unpacked()
    return homes(root)[-1], f'{root}/usr/lib/erlang/bin{os.pathsep}{path}'


def homes(root):
    """Return the folders of RabbitMQ's programs that Debian's packages have below a root."""
    return sorted((root / 'usr/lib/rabbitmq/lib').glob('rabbitmq_server-*'))


def require_rabbitmq():
    """Skip the test where there is no server; with GIRDER_ZARR_REQUIRE_RABBITMQ fetch one, or fail."""
    import pytest  # which `make chaos` does without

    is_required = bool(os.environ.get('GIRDER_ZARR_REQUIRE_RABBITMQ'))
    try:
        find_programs(may_fetch=is_required)
    except UnavailableError as error:
        if is_required:
            pytest.fail(f'no rabbitmq-server: {error}')
        pytest.skip(f'no rabbitmq-server: {error}')


class RabbitMQ:
    """One server: `start`, `kill`, and `start` again with its queues.

    :raises UnavailableError: there is none here.
    """

    def __init__(self, folder, consumer_timeout=1_800_000):
        (self.home, path), self.folder = find_programs(), Path(folder)
        self.port, ports = free_port(), (free_port(), free_port())
        self.url = f'amqp://guest:guest@127.0.0.1:{self.port}//'
        for name in ('mnesia', 'log', 'home'):
            (self.folder / name).mkdir(parents=True)
        (self.folder / 'rabbitmq-env.conf').touch()
        (self.folder / 'enabled_plugins').write_text('[].')
        # How often channels look for what is late, a minute by default, has no name in rabbitmq.conf.
        (self.folder / 'advanced.config').write_text(
            f'[{{rabbit, [{{consumer_timeout, {consumer_timeout}}}, {{channel_tick_interval, 1000}}]}}].'
        )
        self.environment = {
            **os.environ,
            'PATH': path,
            'HOME': str(self.folder / 'home'),
            'RABBITMQ_HOME': str(self.home),
            'RABBITMQ_BASE': str(self.folder),
            'RABBITMQ_NODENAME': f'test{self.port}@localhost',
            'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODE_PORT': str(self.port),
            'RABBITMQ_DIST_PORT': str(ports[0]),
            'ERL_EPMD_PORT': str(ports[1]),
            'ERL_EPMD_ADDRESS': '127.0.0.1',
            'RABBITMQ_MNESIA_BASE': str(self.folder / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(self.folder / 'log'),
            'RABBITMQ_CONFIG_FILE': str(self.folder / 'rabbitmq'),
            'RABBITMQ_ADVANCED_CONFIG_FILE': str(self.folder / 'advanced.config'),
            'RABBITMQ_CONF_ENV_FILE': str(self.folder / 'rabbitmq-env.conf'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(self.folder / 'enabled_plugins'),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '-kernel inet_dist_use_interface {127,0,0,1}',
        }
        self._epmd = subprocess.Popen([_epmd(self.environment)], env=self.environment)
        self._server = None

    def start(self):
        """Start the server and wait until it answers; return itself."""
        with (self.folder / 'log/out').open('a') as log:
            self._server = subprocess.Popen(
                [self.home / 'sbin/rabbitmq-server'],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )
        wait_until(self._answers, 90, 'RabbitMQ')
        return self

    def _answers(self):
        assert self._server.poll() is None, (self.folder / 'log/out').read_text()
        return amqp_answers(self.url)

    def kill(self):
        """Kill the server with all its processes."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def close(self):
        """Stop everything."""
        self.kill()
        self._epmd.terminate()
        self._epmd.wait()


def _epmd(environment):
    """Return Erlang's port mapper, which lies below the folder of Erlang's runtime."""
    root = environment.get('ERL_ROOTDIR') or subprocess.run(
        ['erl', '-noshell', '-eval', 'io:put_chars(code:root_dir()), halt().'],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return next(Path(root).glob('erts-*/bin/epmd'))


@contextlib.contextmanager
def running_rabbitmq(folder, **options):
    """Yield a server that answers; stop it in the end."""
    server = RabbitMQ(folder, **options)
    try:
        yield server.start()
    finally:
        server.close()
