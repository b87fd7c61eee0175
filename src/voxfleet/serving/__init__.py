"""Where parts meet: names to engines, one live stream driven, one recorded file driven."""
