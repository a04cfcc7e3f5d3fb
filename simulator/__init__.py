"""A telephone network for one laptop: Twilio's REST surface, its webhooks, its habits, and a phone in the browser."""
