"""Needs a package that is not there."""

import a_package_that_is_not_there

__all__ = ["a_package_that_is_not_there"]
