"""The verbs: register, poll, deliver, pull, expire, prune, read."""
