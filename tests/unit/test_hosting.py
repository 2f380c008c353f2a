"""How a daemon's process begins."""

from __future__ import annotations

import pytest

from cube.daemon import begun
from cube.settings import CollectorSettings, DaemonSettings, EvaluatorSettings


@pytest.mark.parametrize("cls", [CollectorSettings, EvaluatorSettings])
def test_foreign_types_are_refused_on_a_local_store(
    cls: type[DaemonSettings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUBE_FOREIGN", "a")
    with pytest.raises(SystemExit) as ended, begun(cls, ["--store", "sqlite:data"]):
        pytest.fail("it has begun")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f'{cls.program}: Got foreign = ["a"] with the store sqlite:data; accepted is no')
