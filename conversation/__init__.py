"""What was said: conversations, their history, and the journal of every text and reply."""
