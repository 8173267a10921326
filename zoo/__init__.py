"""Released weights, their index, and the results measured with them."""
