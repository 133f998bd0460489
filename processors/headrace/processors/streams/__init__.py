"""Faust on a pipeline's topics: an app whose streams give transitions and jobs."""
