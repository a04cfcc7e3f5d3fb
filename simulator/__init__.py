"""A telephone network for one laptop: Twilio's REST API, webhooks and faults, phones in the browser."""
