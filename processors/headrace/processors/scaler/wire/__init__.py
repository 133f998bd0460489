"""KEDA's messages: the interface, and what protoc makes of it (`make messages`)."""
