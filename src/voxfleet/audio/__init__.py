"""Bytes to samples to speech probability: decoding, resampling, voice activity batched across streams."""
