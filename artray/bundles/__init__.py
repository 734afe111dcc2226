"""A trained model as a folder: written by trainings, read by labelling, sampling and pages."""
