"""Networks made of cells."""
