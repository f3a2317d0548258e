"""The document of a stitch session: states, access, edits, expiry, quota, notifications."""
