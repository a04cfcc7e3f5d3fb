"""Store conversations, their history, and the journal of every text and reply."""
