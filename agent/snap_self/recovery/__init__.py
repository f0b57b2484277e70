"""The ways back to what a run made, as data: pure, as they are followed elsewhere too."""
