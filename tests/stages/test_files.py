from pathlib import Path

import pytest
from dvc.repo import Repo

from stages.files import md5


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # within DVC
def test_a_folder_has_the_md5_that_dvc_gives_it(tmp_path: Path) -> None:
    repo = Repo.init(str(tmp_path), no_scm=True)
    folder = tmp_path / "folder"
    for name, text in {"b.txt": "b", "a.txt": "a", "sub/c.txt": "", "sub.txt": "x"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "file").write_text("one file")
    for name in ("folder", "file"):
        (stage,) = repo.add(str(tmp_path / name))
        assert md5(tmp_path / name) == stage.outs[0].hash_info.value
    repo.close()
