"""An incident and its repair: a bad deploy, thousands of dead letters, and the way out."""
