"""From finalize to the published item: dispatch, the run, its parts, the result."""
