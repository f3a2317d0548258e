"""What every room of the server may lean on: names, errors as statuses, the database, JSON from outside."""
