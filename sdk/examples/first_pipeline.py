"""A pipeline put together, and what planning makes of it."""

from remotemedia import Pipeline
from remotemedia.nodes.audio import AudioResampleNode, LevelMeterNode, VADNode

pipeline = Pipeline("first")
pipeline.add(LevelMeterNode(input_rate=48_000))
pipeline.add(AudioResampleNode(output_rate=16_000, quality="high"))
pipeline.add_node("speech", VADNode(engine="silero", threshold=0.5))

if __name__ == "__main__":
    print("The manifest, which from_yaml reads again:\n")
    print(pipeline.to_yaml())
    print("What runs:\n")
    print(pipeline.inspect())
