"""Words and pictures: presets of keras-hub and prompts come in; backbones, classifiers and searchable words go out."""
