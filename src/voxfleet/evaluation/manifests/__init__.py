"""Lists of recordings and what was said in them, in the forms the field uses."""
