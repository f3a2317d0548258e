"""Documents stored under a key of a session: patches, batches and reference images."""
