"""The changes of a job's status that girder_worker's plugin lets a server make, in a worker too."""

from __future__ import annotations

from typing import Any

from girder import events

from girder_zarr.server.common.names import HANDLER


def install() -> None:
    """Bind the handlers."""
    events.bind('jobs.status.validate', HANDLER, _validate)
    events.bind('jobs.status.validTransitions', HANDLER, _transitions)


# These import late: girder_plugin_worker needs the app that is being made when a worker's plugins are.


def _validate(event: Any) -> None:
    from girder_plugin_worker.event_handlers import validateJobStatus

    validateJobStatus(event)


def _transitions(event: Any) -> None:
    from girder_plugin_worker.event_handlers import validTransitions

    validTransitions(event)
