"""Images of a hierarchy, as large_image asks for them."""
