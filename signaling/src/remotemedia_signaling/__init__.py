"""HTTP and WebSocket negotiation for RemoteMedia pipelines.

Signaling knows no media. It is given a `PipelineHost`, asks it, and answers:

```python
async with SignalingServer(host, ServerConfig(port=8080)) as server:
    print(server.url)
```
"""

from remotemedia_signaling.app import create_app
from remotemedia_signaling.config import ConfigError, ServerConfig
from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.host import (
    Answer,
    AudioFormat,
    HostError,
    IceCandidate,
    Offer,
    PipelineHost,
    PipelineInfo,
    PipelinePort,
    SessionEvent,
)
from remotemedia_signaling.server import SignalingServer, run_server

__all__ = [
    "Answer",
    "ApiError",
    "AudioFormat",
    "ConfigError",
    "ErrorCode",
    "HostError",
    "IceCandidate",
    "Offer",
    "PipelineHost",
    "PipelineInfo",
    "PipelinePort",
    "ServerConfig",
    "SessionEvent",
    "SignalingServer",
    "create_app",
    "run_server",
]
