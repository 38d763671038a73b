"""`python -m emjax` is the command line."""

from emjax.cli.app import main

if __name__ == "__main__":
    main()
