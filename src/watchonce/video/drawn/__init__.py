"""Videos with known events: a made-up house from a seed, painted, filmed, asked about. It knows no model."""
