"""Data of the engine `dada`: its words by language, crisis lines by country, digests of slurs."""
