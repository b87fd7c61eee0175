"""Is the text right: normalisers with versions, and the counts that are made of normalised words."""
