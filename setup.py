"""The one thing that pyproject.toml cannot say: an editable install gets the data files too.

setuptools' `editable_wheel` installs data where the distribution answers to `has_data`, and none does of itself.
Everything else stands in pyproject.toml.
"""

from setuptools import Distribution, setup


class WithData(Distribution):
    """A distribution whose data files (the settings of Jupyter Server) reach editable installs."""

    def has_data(self) -> bool:
        return self.has_data_files()


setup(distclass=WithData)
