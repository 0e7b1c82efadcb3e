"""What goes in: data sets as listings of rows, and image bytes as RGB pictures (the one user of Pillow's decoders)."""
