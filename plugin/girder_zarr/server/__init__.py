"""The Girder edge: REST, models, permissions, jobs. Touches no pixels."""
