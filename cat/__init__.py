"""The cat: its engines, its persona, its memory and its replies."""
