"""What `import artray` offers to programs and notebooks: tables, models and stations by name, without a cluster.

Each name is loaded when it is first used: `import artray` alone loads neither TensorFlow nor Ray, nor pandas.
"""
