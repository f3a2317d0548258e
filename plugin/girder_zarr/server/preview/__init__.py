"""A session as a tile source while its patches arrive."""
