"""The page for people: what is wrong, since when, what happens next, and what they can do about it."""
