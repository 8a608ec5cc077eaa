"""How it runs: one module per DVC stage, settings, sources, engines."""
