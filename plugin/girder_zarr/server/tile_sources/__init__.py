"""Which tile source opens an item, and why; our own source over items of Girder."""
