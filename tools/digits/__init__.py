"""The little real model: speech it learns from, loss, network, training and measurement."""
