"""Maintenance without a request: lost runs are dispatched again, expired sessions and orphans removed."""
