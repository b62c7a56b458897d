import os

import pytest


def test_db(db, worker_id, testrun_uid, once):
    assert db == "db_" + worker_id
    assert os.environ["PYTEST_XDIST_TESTRUNUID"] == testrun_uid


@pytest.mark.parametrize("i", range(5))
def test_many(i, tmp_path, worker_id):
    assert tmp_path.parent.name == "popen-" + worker_id
