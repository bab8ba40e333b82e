"""`python -m remotemedia` is the command `remotemedia`."""

from remotemedia.cli import main

if __name__ == "__main__":
    main()
