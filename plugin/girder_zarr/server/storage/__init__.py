"""Files of Girder as ranged reads, in any assetstore, and bytes stored durably. Knows no session."""
