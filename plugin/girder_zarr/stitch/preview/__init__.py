"""The image while its patches arrive, at every resolution."""
