"""From positions to patches of a session: counting, direction, sizes, and a map to look at."""
