"""Items whose source is no longer the first choice: counted, given the one that is, and put back."""
