"""Input of clients, checked: the spec of a session and the parameters of a patch."""
