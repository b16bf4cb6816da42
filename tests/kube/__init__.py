"""A small Kubernetes API server for tests, spoken to by the real kubectl and the real helm.

It keeps objects in memory, refuses what a real server refuses, and plays the controllers and the kubelet of one node:
`cluster.py` is the front, and the only module that tests need.
"""
