"""Input of requests that every route shares: bodies, the parameters of lists, conditional answers."""
