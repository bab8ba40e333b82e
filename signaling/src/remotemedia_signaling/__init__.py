"""HTTP and WebSocket negotiation for RemoteMedia pipelines."""
