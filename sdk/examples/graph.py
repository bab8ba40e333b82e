"""A graph: the two channels of a recording apart, speech found on each, and a mono mix of both.

`remotemedia inspect sdk/examples/graph.py` draws it, `python graph.py talk.wav` runs it.
"""

import sys

from remotemedia import Pipeline
from remotemedia.client.events import SpeechStopped
from remotemedia.nodes import AudioSink, AudioSource, ChannelSplitNode, GainNode, MixNode, VADNode

pipeline = Pipeline("two-speakers")
pipeline.add_node("call", AudioSource())
pipeline.add_node("split", ChannelSplitNode())
pipeline.add_node("agent", VADNode(engine="energy"))
pipeline.add_node("customer", VADNode(engine="energy"))
pipeline.add_node("louder", GainNode(gain_db=6.0))
pipeline.add_node("mix", MixNode())
pipeline.add_node("mono", AudioSink())

pipeline.connect("call", "split")
pipeline.connect("split.left", "agent")
pipeline.connect("split.right", "louder")
pipeline.connect("louder", "customer")
pipeline.connect("agent", "mix")  # becomes mix.in-1: a VADNode passes its audio on
pipeline.connect("customer", "mix")  # becomes mix.in-2
pipeline.connect("mix", "mono")

if __name__ == "__main__":
    print(pipeline.inspect(), end="\n\n")
    result = pipeline.run(sys.argv[1])
    for event in result.events:
        if isinstance(event, SpeechStopped):
            print(f"{event.node} spoke from {event.start_ms:.0f} to {event.pts_ms:.0f} ms")
    print(f"{result.audio.size / result.rate:.1f} s of audio in the mix")
