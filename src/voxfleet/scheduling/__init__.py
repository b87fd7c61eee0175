"""Who goes next, who is refused, which chunk size. Pure: driven by real time in engines, by simulated time in plans."""
