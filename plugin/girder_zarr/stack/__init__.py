"""The embedded stack: Girder with its database, broker and worker as the children of one command.

The supervisor (`supervisor.py`) imports neither Girder nor Celery; what it starts does.
"""
