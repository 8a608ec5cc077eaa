"""Features built in shares, on as many machines, are those of one machine, byte for byte."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_project import inside, scored_project

from fedelta.pipeline import build_features, paths
from fedelta.pipeline.fan_out import BadShare, Share


def contents(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = scored_project(tmp_path / "project")
    with inside(folder):
        settings = paths.PARAMS.read_text()
        for old, new in (
            ("buckets: 1}", "buckets: 5}"),
            ("seeds: 1, horizon_days: 90}", "seeds: 1, horizon_days: 150}"),
        ):
            assert old in settings
            settings = settings.replace(old, new)
        paths.PARAMS.write_text(settings)
        yield folder


def test_the_shares_of_machines_joined_are_what_one_machine_writes(project: Path, capsys: pytest.CaptureFixture[str]):
    build_features.main()
    alone, told = contents(paths.FEATURES, paths.LABELS, paths.VALUE), capsys.readouterr().out
    assert sum("value/features/part" in name for name in alone) == 5
    for number in (2, 0, 1):
        build_features.build_share(Share(number, 3))
    for folder in (paths.FEATURES, paths.LABELS, paths.VALUE):
        shutil.rmtree(folder)
    capsys.readouterr()
    build_features.merge()
    assert contents(paths.FEATURES, paths.LABELS, paths.VALUE) == alone
    assert capsys.readouterr().out == told
    assert not paths.FEATURE_SHARES.exists()


def test_more_shares_than_buckets_leave_some_with_nothing_to_do(project: Path):
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("buckets: 5}", "buckets: 2}"))
    build_features.main()
    alone = contents(paths.FEATURES)
    for number in range(3):
        build_features.build_share(Share(number, 3))
    build_features.merge()
    assert contents(paths.FEATURES) == alone


def test_nothing_is_joined_while_a_share_is_missing_or_of_another_number(project: Path):
    before = contents(paths.FEATURES)
    build_features.build_share(Share(1, 3))
    with pytest.raises(BadShare, match="lacks 0/3, 2/3"):
        build_features.merge()
    build_features.build_share(Share(0, 2))
    with pytest.raises(BadShare, match="shares of 2 and 3"):
        build_features.merge()
    assert contents(paths.FEATURES) == before


def test_a_share_of_other_settings_or_a_changed_file_is_refused(project: Path):
    for number in range(2):
        build_features.build_share(Share(number, 2))
    settings = paths.PARAMS.read_text()
    paths.PARAMS.write_text(settings.replace("horizon_days: 90", "horizon_days: 60"))
    with pytest.raises(BadShare, match="other data, settings or features"):
        build_features.merge()
    paths.PARAMS.write_text(settings)
    part = next((Share(1, 2).folder(paths.FEATURE_SHARES) / "features").iterdir())
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(BadShare, match="is not what"):
        build_features.merge()


@pytest.mark.parametrize("text", ["3/3", "1", "a/b", "-1/2", "1/0", "/"])
def test_what_is_no_share_is_refused_by_name(text: str):
    with pytest.raises(BadShare, match="is no share"):
        Share.parse(text)


def test_every_bucket_is_in_one_share():
    work = list(range(11))
    for of in (1, 2, 5, 11, 20):
        dealt = [bucket for number in range(of) for bucket in Share.parse(f"{number}/{of}").buckets(work)]  # type: ignore[arg-type]
        assert dealt == work
