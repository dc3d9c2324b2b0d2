"""`python -m eyechart`: the command line."""

from eyechart.cli import main

if __name__ == "__main__":
    main()
