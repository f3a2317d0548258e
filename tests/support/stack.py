"""The real stack as a user starts it: `girder-zarr serve` as a process of its own."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import girder_client

LOGIN, PASSWORD = 'admin', 'correct horse battery'


class CommandLine:
    """A running `girder-zarr` command; its lines of output arrive in `lines`."""

    def __init__(self, *arguments, environment=None):
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'girder_zarr.cli', *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self.lines, self.seen, self.errors = queue.Queue(), [], []
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.lines.put)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors.append)),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream, take):
        for line in stream:
            take(line.rstrip('\n'))
        stream.close()
        if stream is self.process.stdout:
            self.lines.put(None)

    def line(self, containing, seconds=90):
        """Return the next line of output that contains some words; fail when the command ends before."""
        deadline = time.monotonic() + seconds
        while True:
            line = self.lines.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line is not None, f'the command ended: {self.seen} {self.errors}'
            self.seen.append(line)
            if containing in line:
                return line

    def wait(self, seconds=60):
        """Return the exit code."""
        code = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(seconds)
        return code

    def close(self):
        """Stop the command if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait()


def run_cli(*arguments, **environment):
    """Run a `girder-zarr` command to its end; return code, lines of output and lines of errors."""
    command = CommandLine(*arguments, environment=environment)
    code = command.wait(120)
    lines = []
    while (line := command.lines.get_nowait()) is not None:
        lines.append(line)
    return code, lines, command.errors


class Stack(CommandLine):
    """`girder-zarr serve` on a free port."""

    def __init__(self, data, *arguments, environment=None):
        self.data = Path(data)
        given = {'GIRDER_ZARR_ADMIN_LOGIN': LOGIN, 'GIRDER_ZARR_ADMIN_PASSWORD': PASSWORD}
        super().__init__(
            'serve',
            '--data',
            data,
            '--port',
            '0',
            '--workers',
            '2',
            *arguments,
            environment=given | (environment or {}),
        )
        self.url = None

    def ready(self):
        """Wait until the stack is ready; return itself."""
        self.url = self.line('Girder is ready at ').split(' ready at ')[1].split()[0]
        return self

    @property
    def port(self):
        return int(self.url.rstrip('/').rpartition(':')[2])

    def client(self, login=LOGIN, password=PASSWORD):
        """Return a client that is signed in."""
        client = girder_client.GirderClient(apiUrl=f'{self.url}api/v1')
        client.authenticate(login, password)
        return client

    def tracebacks(self):
        """Return what Girder wrote to its log of each request that it answered with status 500."""
        log = (self.data / 'logs' / 'girder.log').read_text(encoding='utf-8', errors='replace')
        return [part.split('\nINFO:')[0] for part in log.split('ERROR:girder.api.rest:500 Error\n')[1:]]

    def parts(self):
        """Return the processes of the stack without the supervisor: {pid: (start time, command line)}."""
        return processes_below(self.process.pid)


@contextlib.contextmanager
def running_stack(data, *arguments, environment=None):
    """Yield a stack that is ready; stop it in the end."""
    stack = Stack(data, *arguments, environment=environment)
    try:
        yield stack.ready()
    finally:
        stack.close()


def process_table():
    """Return {pid: (parent, start time, command line)} of the processes that run, zombies left out."""
    table = {}
    for entry in Path('/proc').iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                fields = (entry / 'stat').read_text().rpartition(')')[2].split()
                command = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
                if fields[0] != 'Z':
                    table[int(entry.name)] = (int(fields[1]), int(fields[19]), command)
    return table


def processes_below(pid):
    """Return {pid: (start time, command line)} of the descendants of a process."""
    table, found, parents = process_table(), {}, {pid}
    while parents:
        children = {child: facts for child, facts in table.items() if facts[0] in parents}
        found |= {child: facts[1:] for child, facts in children.items()}
        parents = set(children)
    return found


def still_running(parts):
    """Return those of some processes that are still there, and not a new one with the same number."""
    table = process_table()
    return {pid: facts for pid, facts in parts.items() if pid in table and table[pid][1] == facts[0]}


def left_behind(data):
    """Return the command lines of what was started for a data folder, whoever its parent is now."""
    marker = f'GIRDER_ZARR_STACK={Path(data).resolve()}'.encode()
    found = []
    for pid, (_, _, command) in process_table().items():
        with contextlib.suppress(OSError):
            environment = Path(f'/proc/{pid}/environ').read_bytes().split(b'\0')
            if marker in environment or f'{Path(data).resolve()}/' in command:
                found.append(command)
    return found
