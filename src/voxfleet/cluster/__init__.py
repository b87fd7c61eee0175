"""Many machines as one: the link between a gateway and its workers, and the pool that hands out tracks."""
