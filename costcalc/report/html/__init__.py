"""Answers as HTML: pages for notebooks, and the report, one file with its charts, its styles and its script."""
