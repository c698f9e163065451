"""The figure of a confusion matrix."""

import numpy as np
import pytest

from primaps.errors import OutputError
from primaps.outputs.confusion import confusion_figure, row_shares

TABLE = np.array([[30, 10, 0], [0, 5, 0], [0, 0, 0]])


def test_rows_are_shares_of_the_true_class():
    shares = row_shares(TABLE)
    assert shares[:2].tolist() == [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0]]
    assert np.isnan(shares[2]).all()


def test_names_and_numbers_of_the_classes():
    ax = confusion_figure(TABLE, ["sky", "hill", "absent"]).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["sky", "hill", "absent"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["sky", "hill", "absent"]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("truth", "prediction")
    assert [text.get_text() for text in ax.texts] == ["75", "25", "0", "0", "100", "0"]
    assert np.array_equal(
        ax.images[0].get_array().filled(np.nan), 100 * row_shares(TABLE), equal_nan=True
    )


def test_another_number_of_names_is_an_error():
    with pytest.raises(OutputError, match="2 x 2 classes"):
        confusion_figure(TABLE, ["sky", "hill"])
