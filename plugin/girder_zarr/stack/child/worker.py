"""The worker of the stack: ``python -m girder_zarr.stack.child.worker --concurrency N``."""

from __future__ import annotations

import argparse

from .parent_death import die_with_parent
from .ready_report import report


def main() -> None:
    """Run the Celery worker until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--concurrency', type=int, required=True)
    options = parser.parse_args()

    from celery.signals import worker_process_init, worker_ready

    from .textsearch import install_if_needed

    # Celery keeps weak references to receivers: these names keep them alive.
    @worker_process_init.connect  # type: ignore[untyped-decorator]
    def end_with_worker(**_: object) -> None:
        die_with_parent()

    @worker_ready.connect  # type: ignore[untyped-decorator]
    def tell_supervisor(**_: object) -> None:
        report({'ready': True})

    install_if_needed()
    from girder_worker.app import app

    app.worker_main([
        'worker', '--queues', 'local,celery', '--concurrency', str(options.concurrency), '--loglevel', 'INFO',
        '--without-mingle', '--without-gossip', '--hostname', 'girder-zarr@%h',
    ])  # fmt: skip


if __name__ == '__main__':
    main()
