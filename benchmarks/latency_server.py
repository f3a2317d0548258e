"""A web server that waits before each answer, as one far away does.

    python latency_server.py FOLDER [--seconds 0.05]

Prints its port. Answers GET and HEAD with ranges over open connections, any number of them at a time; it is
a process of its own, so that it does not share a lock with what is measured.
"""

import argparse
import asyncio
import contextlib
import re
import sys
from pathlib import Path
from urllib.parse import unquote


class Server:
    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1')
                method, target = head.split(' ', 2)[:2]
                wanted = re.search(r'\r\nrange: *bytes=(\d*)-(\d*)', head, re.IGNORECASE)
                await asyncio.sleep(self.seconds)
                writer.write(self.answer(method, unquote(target.partition('?')[0]), wanted))
                await writer.drain()
        writer.close()

    def answer(self, method, path, wanted):
        file = self.folder / path.lstrip('/')
        if not file.is_file():
            body = b'<Error><Code>NoSuchKey</Code></Error>'
            return self.packed('404 Not Found', 'Content-Type: application/xml', body)
        size, start, status = file.stat().st_size, 0, '200 OK'
        stop = size
        fields = f'ETag: "{file.stat().st_mtime_ns}"\r\nAccept-Ranges: bytes'
        if wanted is not None:
            first, last = wanted.groups()
            start = int(first) if first else max(0, size - int(last))
            stop = min(size, int(last) + 1) if first and last else size
            status = '206 Partial Content'
            fields += f'\r\nContent-Range: bytes {start}-{stop - 1}/{size}'
        with file.open('rb') as opened:
            opened.seek(start)
            body = opened.read(stop - start)
        return self.packed(status, fields, body, head=method == 'HEAD')

    def packed(self, status, fields, body, *, head=False):
        text = f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n\r\n'
        return text.encode() + (b'' if head else body)

    async def run(self):
        server = await asyncio.start_server(self.serve, '127.0.0.1', 0, backlog=256)
        print(server.sockets[0].getsockname()[1], flush=True)
        # until whoever started it goes away
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--seconds', type=float, default=0.05)
    arguments = parser.parse_args()
    asyncio.run(Server(arguments.folder, arguments.seconds).run())


if __name__ == '__main__':
    main()
