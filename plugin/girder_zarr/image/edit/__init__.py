"""An opened image that is added to."""
