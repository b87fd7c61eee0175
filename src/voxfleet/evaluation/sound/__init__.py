"""The audio that is sent: real calls put together from clips, and what a telephone line does to them."""
