"""The verbs: register, poll, deliver, expire, prune, read."""
