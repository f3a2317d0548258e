"""The web server of the stack: ``python -m girder_zarr.stack.child.web --socket FD --assetstore DIR``."""

from __future__ import annotations

import argparse
import logging
import resource
import socket
from pathlib import Path
from typing import Any

from .bootstrap import bootstrap
from .ready_report import report
from .textsearch import install_if_needed

#: Connections, their threads' socket pairs and open files; many systems start programs with 1024.
OPEN_FILES = 65_536
#: Said in the log where a new version of Girder answers requests in a way that is not known here.
NO_BRIDGE = "Girder's bridge was not found: requests take its own way, which takes longer."


def raise_file_limit() -> None:
    """Let this process have as many connections and files open as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def main() -> None:
    """Prepare Girder's database and serve at an inherited socket until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--socket', type=int, required=True)
    parser.add_argument('--assetstore', type=Path, required=True)
    parser.add_argument('--reset-password', action='store_true')
    options = parser.parse_args()

    import uvicorn

    install_if_needed()
    from girder.asgi import app
    from girder.wsgi import app as wsgi_app

    from .bounded_requests import BoundedRequests, give_room
    from .girder_bridge import install_bridge
    from .image_protocol import image_protocol
    from .image_requests import ImageRequests
    from .safe_headers import SafeHeaders
    from .static_files import CompressedStaticFiles

    facts = bootstrap(options.assetstore, reset_password=options.reset_password)
    raise_file_limit()
    if not install_bridge(app, wsgi_app):
        logging.getLogger(__name__).warning(NO_BRIDGE)
    bounded = BoundedRequests(SafeHeaders(CompressedStaticFiles(app)))

    class Server(uvicorn.Server):
        """Tells the supervisor as soon as requests are answered."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            give_room()
            await super().startup(sockets)
            if self.started:
                report(facts)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # A request that waits for its body would keep the server until the supervisor kills it.
            bounded.close()
            await super().shutdown(sockets)

    config: Any = uvicorn.Config(
        ImageRequests(app, bounded),
        interface='asgi3',
        http=image_protocol(app),
        log_level='warning',
        server_header=False,
        date_header=False,
        access_log=False,
        timeout_graceful_shutdown=3,
    )
    # Not by its number: uvicorn takes that for a Unix socket, whose connections have no TCP_NODELAY, and each
    # answer, being two packets, waits 40 ms for the acknowledgement of the first.
    Server(config).run([socket.socket(fileno=options.socket)])


if __name__ == '__main__':
    main()
