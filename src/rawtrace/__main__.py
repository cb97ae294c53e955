"""``python -m rawtrace``: the command line, where its script is not on the path."""

from rawtrace.cli.main import run

if __name__ == "__main__":
    run()
