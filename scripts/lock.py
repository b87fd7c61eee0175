"""Print the exact versions of everything installed beside this project, for requirements.lock."""

from importlib.metadata import distributions

HEADER = """\
# What the tests run with: made by `make lock`, used as pip constraints by the Makefile. The wheel itself asks for ranges.
"""
NOT_OURS = {"voxfleet", "pip", "setuptools"}


def main() -> None:
    # A local version (2.13.0+cpu) is one build of a version; other machines take another.
    versions = {dist.metadata["Name"].lower().replace("_", "-"): dist.version.split("+")[0] for dist in distributions()}
    print(
        HEADER + "\n".join(f"{name}=={version}" for name, version in sorted(versions.items()) if name not in NOT_OURS)
    )


if __name__ == "__main__":
    main()
