"""The poet's words as data: a file a language, the crisis lines by country, and the words that are never said back."""
