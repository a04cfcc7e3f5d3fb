"""The state of every text and of every reply: journal, outbox and delivery record in one table."""
