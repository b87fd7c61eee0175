"""Live speech with engines that can only transcribe a buffer: what to decode, when, and which words stay."""
