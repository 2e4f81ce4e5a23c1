"""One notification on its way out: signed, guarded, sent once."""
