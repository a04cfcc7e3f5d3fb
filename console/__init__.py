"""The operator's web page: who waits, what needs a decision, what it costs, and what operators did."""
