"""The parts of the main job."""
