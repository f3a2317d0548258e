"""Used everywhere in the server: names, errors as statuses, the database, JSON from outside."""
