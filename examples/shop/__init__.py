"""A small shop: mails, pictures and payments. `docker-compose.yml` is rendered from it."""
