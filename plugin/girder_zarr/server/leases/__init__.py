"""Which process works on what: heartbeats and leases."""
