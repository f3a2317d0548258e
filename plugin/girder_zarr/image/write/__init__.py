"""A hierarchy of levels from blocks of full resolution."""
