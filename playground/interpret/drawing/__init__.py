"""From drawings, photos and image files to model inputs."""
