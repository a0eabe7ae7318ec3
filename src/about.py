"""The name and the version of this program: in models, Methods paragraphs, model cards and CITATION.cff."""

NAME = "Image segmentation using deep learning"

# PEP 440. Between releases: the next one with ".dev0". A release has a section in CHANGELOG.md.
VERSION = "1.1.dev0"
