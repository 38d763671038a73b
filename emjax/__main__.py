"""`python -m emjax` is the command line."""

from emjax.cli import main

if __name__ == "__main__":
    main()
