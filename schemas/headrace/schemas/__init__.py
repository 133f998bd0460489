"""What travels on Kafka: Avro schemas, the codec, headers, job states, transitions. No I/O."""
