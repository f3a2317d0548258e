"""The plugin's settings: one definition each, and the current values in every process."""
