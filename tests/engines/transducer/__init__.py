"""The transducer, held to the reference implementation."""
