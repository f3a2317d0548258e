"""Input of requests that every route shares: bodies, parameters of lists and tiles, conditional answers."""
