"""Only what pyproject.toml cannot say: the native core is built by cffi."""

from setuptools import setup

setup(cffi_modules=["frontend/pyramulator/_build.py:ffibuilder"])
