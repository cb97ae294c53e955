"""Speed and size, each as a ratio to a yardstick that runs beside it; ``run.py`` runs them all."""
