"""Charts as inline SVG. This package decides how each looks; matplotlib draws them and is imported only then."""
