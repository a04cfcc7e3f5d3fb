"""Danger: heard in a text by its meaning, in any language, before every engine and after it.

- `model`: the tiers, the kinds, what was heard, and the state of a person in danger.
- `patterns` and `vectors`: the two ways of hearing; `hearing` combines them.
- `helplines`: whom to call, by country, language and kind.
- `lines`: what the cat says instead of playing.
- `gate`: which reply is sent.
"""
