"""`python -m watchonce`: the command line, and the door through which `torchrun -m watchonce` comes."""

from watchonce.cli import main

if __name__ == "__main__":
    main()
