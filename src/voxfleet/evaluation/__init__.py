"""The truth about quality, measured from outside: values that add up, and the definitions they follow."""
