from tests.cli.conftest import voxfleet

__all__ = ["voxfleet"]
