"""The offline poet: it hears what a text does, knows what was told, composes drafts and chooses one.

`scene` puts together what one reply needs, `compose` writes drafts, `choose` scores them. `docs/explanation/cat.md`
explains the parts. The engine itself is `cat.engines.dada`.
"""
