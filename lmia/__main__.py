"""`python -m lmia` is `lmia`."""

from lmia.shell import main

if __name__ == "__main__":
    main()
