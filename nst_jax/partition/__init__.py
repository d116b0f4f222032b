"""A picture in parts: tiles on one device, shards on many."""
