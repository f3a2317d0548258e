"""Choice of the tile source of an item and its explanation; our own source over items of Girder."""
