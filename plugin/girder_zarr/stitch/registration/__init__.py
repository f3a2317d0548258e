"""Positions corrected by what the overlaps show."""
