"""The node types of this package, by what they work on.

All can be imported from here: ``from remotemedia.nodes import VADNode``.
"""

from remotemedia.nodes.audio import (
    AudioBufferNode,
    AudioResampleNode,
    FormatConverterNode,
    GainNode,
    LevelMeterNode,
    PassThroughNode,
    VADNode,
)
from remotemedia.nodes.data import CalculatorNode, TextNode
from remotemedia.nodes.endpoints import AudioSink, AudioSource
from remotemedia.nodes.files import FileReaderNode, FileWriterNode
from remotemedia.nodes.python import PythonNode
from remotemedia.nodes.routing import ChannelSplitNode, MixNode

__all__ = [
    "AudioBufferNode",
    "AudioResampleNode",
    "AudioSink",
    "AudioSource",
    "CalculatorNode",
    "ChannelSplitNode",
    "FileReaderNode",
    "FileWriterNode",
    "FormatConverterNode",
    "GainNode",
    "LevelMeterNode",
    "MixNode",
    "PassThroughNode",
    "PythonNode",
    "TextNode",
    "VADNode",
]
