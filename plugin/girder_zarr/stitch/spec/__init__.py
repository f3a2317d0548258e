"""What a client may ask for: the spec of a session and the parameters of a patch, checked."""
