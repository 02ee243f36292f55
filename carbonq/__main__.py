"""`python -m carbonq` is the command line, whatever PATH says."""

from carbonq.cli.main import main

if __name__ == "__main__":
    main()
