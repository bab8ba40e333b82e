"""Real-time media pipelines in Python, over WebRTC."""
