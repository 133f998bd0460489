"""`headrace bench`: how fast a Kafka of the user's carries jobs."""
