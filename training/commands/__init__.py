"""The console scripts and their flags."""
