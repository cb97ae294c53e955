"""What is shown more than once: areas within a picture, and pictures among pictures."""
