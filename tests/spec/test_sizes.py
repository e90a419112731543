from __future__ import annotations

import pytest

from e2i.spec import fixes, sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1B", 1),
        ("512MB", 512_000_000),
        ("2GB", 2_000_000_000),
        ("1.5GiB", 1_610_612_736),
        ("1TiB", 2**40),
        ("3KB", 3_000),
    ],
)
def test_an_amount_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert sizes.parse(text) == size


@pytest.mark.parametrize("text", ["", "2", "2G", "2 GB", "GB", "-1GB", "1e9B", "2gb", "1GB500MB", "9" * 50 + "B"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of memory"):
        sizes.parse(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (999, "999B"), (1_500, "1.5KB"), (300_000_000, "300MB"), (18_000_000_000, "18GB")]
)
def test_an_amount_as_people_say_it(size: int, text: str) -> None:
    assert sizes.text(size) == text


@pytest.mark.parametrize(("given", "meant"), [("2 gb", "2GB"), ("512 mib", "512MiB"), ("2G", None), (2, None)])
def test_what_a_person_meant(given: object, meant: str | None) -> None:
    assert fixes.size(given) == meant
