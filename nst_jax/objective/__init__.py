"""The loss: measure feature maps, score the statistics, weigh the terms."""
