"""Stitch sessions over HTTP, on top of girder_client."""

from .patch import Patch, content_digest
from .stitch_client import StitchClient, StitchFailedError, WaitTimeoutError

__all__ = ['Patch', 'StitchClient', 'StitchFailedError', 'WaitTimeoutError', 'content_digest']
